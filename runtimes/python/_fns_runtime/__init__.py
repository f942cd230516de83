"""What the process of a Python slot is made of.

Found by its private name only: no module of a tenant or of a package is shadowed. Python 3.9 to 3.14, standard library only.
"""

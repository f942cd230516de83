"""Finds and loads the function that a handler names."""

import importlib
import importlib._bootstrap_external as loader
import os
import sys

from _fns_runtime.errors import LoadError


def compiled_from(code, cache):
    """Bytecode made at deploy: `<cache>/<path within the code>`, named as in __pycache__."""
    original = loader.cache_from_source
    prefix = os.path.join(code, "")

    def cache_from_source(path, *args, **kwargs):
        if not path.startswith(prefix):
            return original(path, *args, **kwargs)
        folder, name = os.path.split(path[len(prefix):])
        return os.path.join(cache, folder, "%s.%s.pyc" % (name.rpartition(".")[0], sys.implementation.cache_tag))

    loader.cache_from_source = cache_from_source


def search_path(code, layers):
    """The function's own code first, then layers, a later one before an earlier one, as it overrides it."""
    version = "python%d.%d" % sys.version_info[:2]
    found = [code]
    for layer in reversed(layers):
        found += [path for path in (layer + "/python", layer + "/python/lib/" + version + "/site-packages", layer) if os.path.isdir(path)]
    return found + [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]


def load_handler(handler, code):
    """`folder/module.function` or `package.module.function`, as Lambda reads it."""
    name, dot, function = handler.rpartition(".")
    if not dot or not name or not function:
        raise LoadError("Runtime.MalformedHandlerName", 'The handler "%s" is not of the form module.function.' % handler)
    name = name.strip("/").replace("/", ".")
    if name.startswith(".") or ".." in name or name == "__main__":
        raise LoadError("Runtime.MalformedHandlerName", 'The handler "%s" points out of the code.' % handler)
    path = os.path.join(code, *name.split("."))
    if name in sys.modules and (os.path.isfile(path + ".py") or os.path.isdir(path)):
        del sys.modules[name]  # The tenant's module is named like one that is loaded already.
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise LoadError("Runtime.ImportModuleError", 'Cannot find the module "%s" of the handler "%s".' % (name, handler))
        raise LoadError("Runtime.ImportModuleError", "%s" % error)
    found = getattr(module, function, None)
    if not callable(found):
        how = "is no function" if hasattr(module, function) else "is missing in module '%s'" % name
        raise LoadError("Runtime.HandlerNotFound", 'The handler "%s" %s.' % (handler, how))
    return found

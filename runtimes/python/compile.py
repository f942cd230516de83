"""Checks Python code at deploy and compiles it, without running any of it.

Arguments: folder of the code, folder for bytecode (may be empty). Prints one JSON list of {file, line, message}.
Bytecode is of the kind that is never checked against its source, for code is immutable under its digest.
"""

import importlib._bootstrap_external as loader
import importlib.util
import json
import os
import resource
import sys
import time
import tokenize

BUDGET_SEC = 20.0
MEMORY_BYTES = 1 << 30


def installed_packages(folder):
    """Top-level names that pip installed: their odd files (templates, tests of bad syntax) are nobody's fault here."""
    names = set()
    for entry in os.listdir(folder):
        if entry.endswith(".dist-info"):
            try:
                with open(os.path.join(folder, entry, "RECORD"), encoding="utf-8", errors="replace") as record:
                    names.update(line.split(",")[0].split("/")[0] for line in record)
            except OSError:
                pass
    return names


def sources(folder):
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(base, name), folder)


def fault(path, error):
    if isinstance(error, SyntaxError):
        return {"file": path, "line": error.lineno or 1, "message": "%s: %s" % (type(error).__name__, error.msg)}
    return {"file": path, "message": "%s: %s" % (type(error).__name__, str(error)[:200])}


def check(folder, target):
    faults = []
    foreign = installed_packages(folder)
    deadline = time.monotonic() + BUDGET_SEC
    for path in sources(folder):
        if time.monotonic() > deadline:
            break
        with open(os.path.join(folder, path), "rb") as file:
            source = file.read()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, tokenize.TokenError) as error:
            if path.split(os.sep)[0] not in foreign:
                faults.append(fault(path, error))
            continue
        if target:
            head, name = os.path.split(path)
            os.makedirs(os.path.join(target, head), exist_ok=True)
            compiled = os.path.join(target, head, "%s.%s.pyc" % (name[:-3], sys.implementation.cache_tag))
            with open(compiled, "wb") as file:
                file.write(loader._code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    return faults


try:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
except (ValueError, OSError):
    pass  # macOS refuses; the time limit stands.
print(json.dumps(check(sys.argv[1], sys.argv[2])))

"""What went wrong, as the tenant is told."""

import json
import os
import traceback

MESSAGE_CHARS = 32 * 1024
STACK_LINES = 50
LINE_CHARS = 1024

# Lines of these files are no news to a tenant: this folder, the bootstrap beside it, and the import system.
PARTS = os.path.dirname(os.path.abspath(__file__))
OURS = (os.path.join(PARTS, ""), os.path.join(os.path.dirname(PARTS), "bootstrap.py"), "<frozen importlib")


class LoadError(Exception):
    """Why code could not be loaded, as the tenant is told."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def describe(error, code):
    """Whatever was thrown, as it can be shown. Never raises: methods of hostile exceptions may."""
    try:
        if isinstance(error, LoadError):
            return {"type": error.kind, "message": str(error), "stack": []}
        kind = type(error).__name__
        if isinstance(error, SyntaxError):
            kind = "Runtime.UserCodeSyntaxError"
        return {"type": kind[:256], "message": str(error)[:MESSAGE_CHARS], "stack": stack_of(error, code)}
    except BaseException:
        return {"type": "Error", "message": "What the function raised cannot be shown.", "stack": []}


def stack_of(error, code):
    whole = traceback.TracebackException(type(error), error, error.__traceback__, limit=STACK_LINES)
    seen = set()
    part = whole
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list([f for f in part.stack if not f.filename.startswith(OURS)])
        part = part.__cause__ or part.__context__
    prefix = os.path.join(code, "")
    lines = "".join(whole.format()).replace('"' + prefix, '"').splitlines()
    return [line[:LINE_CHARS] for line in lines[:STACK_LINES]]


def error_json(info):
    return json.dumps(info, separators=(",", ":")).encode()

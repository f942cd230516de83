"""The process of one Python slot: waits prepared, loads a function once, then runs its calls.

Speaks the frames of lib/slots/frames.ts over descriptor 3. Runs on Python 3.9 to 3.14, with the standard library only.
The invoker holds clock, deadline and meter; nothing that is said here is billed.
"""

import gc
import json
import os
import sys
from os import _exit as leave  # A name of its own: tenant code may replace that of the module.

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from _fns_runtime.channel import INIT_FAILED, READY
from _fns_runtime.context import install_environment, shared_context
from _fns_runtime.errors import describe, error_json
from _fns_runtime.handlers import compiled_from, load_handler, search_path
from _fns_runtime.output import capture
from _fns_runtime.slot import Slot

# The tenant's code finds nothing of ours by its own imports.
sys.path.remove(HERE)
sys.path_importer_cache.pop(HERE, None)


def prepare():
    """Everything that needs no function, so that assignment costs only the tenant's own imports."""
    slot = Slot()
    capture(slot)
    json.loads(json.dumps({"warm": [1.5, None, True, "ü"]}))
    gc.collect()
    gc.freeze()
    return slot


def main(slot):
    frames = []
    while not frames:
        frames = slot.channel.read()
    given = json.loads(frames[0][1])
    shared = shared_context(given)
    slot.per_slot, slot.log_bytes, slot.result_bytes = max(1, given["perSlot"]), given["logBytes"], given["resultBytes"]
    slot.code = given["code"]
    try:
        install_environment(given, shared)
        os.chdir(slot.code)
        sys.argv = [""]
        sys.path[:0] = search_path(slot.code, given["layers"])
        if given.get("cache"):
            compiled_from(slot.code, given["cache"])
        handler = load_handler(given["handler"], slot.code)
    except SystemExit as error:
        slot.channel.frame(INIT_FAILED, error_json({"type": "Runtime.ExitError", "message": "The code called sys.exit(%r) while it was loaded." % error.code, "stack": []}))
        leave(0)
    except BaseException as error:
        slot.channel.frame(INIT_FAILED, error_json(describe(error, slot.code)))
        leave(0)
    slot.channel.frame(READY)
    for kind, body in frames[1:]:
        slot.take(kind, body)
    (slot.serve_alone if slot.per_slot == 1 else slot.serve_together)(handler, shared)


main(prepare())

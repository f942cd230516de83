"""Runs one call and makes frames of what its handler gives or raises."""

import json
import struct
import types

from _fns_runtime.channel import BROKEN, DATA, ERROR, HEAD, RESULT
from _fns_runtime.context import Context
from _fns_runtime.errors import LoadError, describe, error_json

DATA_PIECE_BYTES = 512 * 1024


def outcome(slot, handler, shared, call):
    """Runs a call to its end: the kind of the frame that answers it, and its body."""
    try:
        try:
            event = json.loads(call.payload)
        except (ValueError, RecursionError) as error:
            raise LoadError("Runtime.UnmarshalError", "The payload cannot be held by Python: %s" % error)
        call.payload = None
        result = handler(event, Context(shared, call))
        if isinstance(result, types.CoroutineType):
            import asyncio  # Only here: half of the functions never need it, and it costs 30 ms.

            result = asyncio.run(result)
        if call.streamed and isinstance(result, types.GeneratorType):
            result = stream(slot.channel, call, result)
        body = to_json(result)
        if len(body) > slot.result_bytes:
            raise LoadError("Function.ResponseTooLarge", "The result has %d bytes; at most %d are allowed." % (len(body), slot.result_bytes))
        return RESULT, body
    except SystemExit as error:
        message = "The function ended its process with sys.exit(%s)." % ("" if error.code is None else repr(error.code)[:200])
        return BROKEN, error_json({"type": "Runtime.ExitError", "message": message, "stack": []})
    except BaseException as error:
        return ERROR, error_json(describe(error, slot.code))


def stream(channel, call, chunks):
    """A generator's chunks as a streamed answer; a first dict with a statusCode is its head."""
    first = True
    for chunk in chunks:
        if first and isinstance(chunk, dict) and "statusCode" in chunk:
            channel.frame(HEAD, struct.pack("<I", call.id), to_json(chunk))
        else:
            data = chunk if isinstance(chunk, (bytes, bytearray)) else chunk.encode() if isinstance(chunk, str) else to_json(chunk)
            for start in range(0, len(data), DATA_PIECE_BYTES):
                channel.frame(DATA, struct.pack("<I", call.id), bytes(data[start:start + DATA_PIECE_BYTES]))
        first = False
    return None


def to_json(value):
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # Half a surrogate pair is no UTF-8, but may stand in JSON as an escape.
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise LoadError("Runtime.MarshalError", "The result is no JSON: %s" % error)

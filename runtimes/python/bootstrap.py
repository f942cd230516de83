"""The process of one Python slot: waits prepared, loads a function once, then runs its calls.

Speaks the frames of lib/slots/frames.ts over descriptor 3. Runs on Python 3.9 to 3.14, with the standard library only.
The invoker holds clock, deadline and meter; nothing that is said here is billed.
"""

import collections
import contextvars
import fcntl
import gc
import importlib
import importlib._bootstrap_external as loader
import io
import json
import logging
import os
import select
import struct
import sys
import threading
import time
import traceback
import types

ASSIGN, CALL, RECALL = 1, 2, 3
READY, INIT_FAILED, RESULT, ERROR, HEAD, DATA, LOG, DROPPED, RETURNED, BROKEN = range(17, 27)

LOG_PIECE_BYTES = 64 * 1024
DATA_PIECE_BYTES = 512 * 1024
MESSAGE_CHARS = 32 * 1024
STACK_LINES = 50
LINE_CHARS = 1024
# How long printed lines and a request to give calls back may wait while a handler runs.
WATCH_SEC = 0.02

HERE = os.path.abspath(__file__)
running_call = contextvars.ContextVar("fns_call", default=None)

# Taken before tenant code can replace them.
monotonic, sleep, leave, getpid = time.monotonic, time.sleep, os._exit, os.getpid


class Channel:
    """The slot's end of the socket. Several threads write; whole frames only."""

    def __init__(self):
        # Out of the way of code that closes or writes low descriptors, and not inherited by its children.
        self.fd = fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, 200)
        os.close(3)
        os.set_blocking(self.fd, True)
        self.held = bytearray()
        self.lock = threading.RLock()
        self.owner = getpid()
        self.printed = []
        self.printed_bytes = 0

    def frame(self, kind, *parts):
        """Sends what was printed so far, then this frame."""
        with self.lock:
            self.flush_printed()
            self.send(struct.pack("<IB", 1 + sum(map(len, parts)), kind) + b"".join(parts))

    def print(self, call_id, stream, data):
        with self.lock:
            last = self.printed[-1] if self.printed else None
            if last and last[0] == call_id and last[1] == stream:
                last[2].append(data)
            else:
                self.printed.append((call_id, stream, [data]))
            self.printed_bytes += len(data)
            if self.printed_bytes >= LOG_PIECE_BYTES:
                self.flush_printed()

    def flush_printed(self):
        if not self.printed:
            return
        with self.lock:
            printed, self.printed, self.printed_bytes = self.printed, [], 0
            for call_id, stream, pieces in printed:
                text = b"".join(pieces)
                start = 0
                while start < len(text):
                    end = sign_boundary(text, start + LOG_PIECE_BYTES)
                    self.send(struct.pack("<IBIB", 6 + end - start, LOG, call_id, stream) + text[start:end])
                    start = end

    def send(self, data):
        if getpid() != self.owner:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view):]
        except OSError:
            leave(70)  # The invoker is gone: nobody will hear of this process again.

    def read(self):
        """Blocks for bytes; yields whole frames as (kind, body)."""
        try:
            chunk = os.read(self.fd, 262144)
        except OSError:
            chunk = b""
        if not chunk:
            leave(0)
        held = self.held
        held += chunk
        frames = []
        at = 0
        while len(held) - at >= 5:
            size, kind = struct.unpack_from("<IB", held, at)
            if len(held) - at < 4 + size:
                break
            frames.append((kind, bytes(held[at + 5:at + 4 + size])))
            at += 4 + size
        del held[:at]
        return frames

    def waiting(self):
        return bool(select.select([self.fd], [], [], 0)[0])


def sign_boundary(text, end):
    """The last place at or before `end` that splits no UTF-8 sign."""
    if end >= len(text):
        return len(text)
    at = end
    while at > end - 4 and text[at] & 0xC0 == 0x80:
        at -= 1
    return at


class Call:
    """One CALL frame."""

    __slots__ = ("id", "attempt", "streamed", "request_id", "trigger_id", "payload", "printed", "dropped", "done")

    def __init__(self, body):
        self.id, self.attempt, flags, size = struct.unpack_from("<IHBB", body)
        at = 8 + size
        self.request_id = body[8:at].decode("latin-1")
        trigger_end = at + 1 + body[at]
        self.trigger_id = body[at + 1:trigger_end].decode("latin-1") or None
        self.payload = body[trigger_end:]
        self.streamed = flags == 1
        self.printed = self.dropped = 0
        self.done = False


class Context:
    """AWS Lambda's context object, and what FNS knows beyond it: attempt (from 1), tenant, namespace, trigger_id."""

    def __init__(self, shared, call):
        self.__dict__.update(shared)
        del self.__dict__["timeout_sec"]
        self.aws_request_id = call.request_id
        self.attempt = call.attempt
        self.trigger_id = call.trigger_id
        self.client_context = None
        self.identity = types.SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        deadline = monotonic() + shared["timeout_sec"]
        self.get_remaining_time_in_millis = lambda: max(0, int((deadline - monotonic()) * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext(aws_request_id=%r, function_name=%r)" % (self.aws_request_id, self.function_name)


class Bytes(io.BufferedIOBase):
    """`sys.stdout.buffer`: every byte goes out tagged with the call that printed it."""

    def __init__(self, slot, stream):
        self.slot, self.stream = slot, stream

    def writable(self):
        return True

    def fileno(self):
        return self.stream

    def write(self, data):
        data = bytes(data)
        self.slot.printed(self.stream, data)
        return len(data)


class Text(io.TextIOBase):
    """`sys.stdout` and `sys.stderr`."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True
    mode = "w"

    def __init__(self, slot, stream, name):
        self.buffer, self.name, self.slot, self.stream = Bytes(slot, stream), name, slot, stream

    def writable(self):
        return True

    def fileno(self):
        return self.stream

    def reconfigure(self, **_):
        pass

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type(text).__name__)
        self.slot.printed(self.stream, text.encode("utf-8", "backslashreplace"))
        return len(text)


class LogHandler(logging.Handler):
    """The root logger's handler, with Lambda's line format."""

    def emit(self, record):
        try:
            record.aws_request_id = getattr(slot.call_now(), "request_id", "-")
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class LoadError(Exception):
    """Why code could not be loaded, as the tenant is told."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Slot:
    """The process's state: one function, its calls, and who is running."""

    def __init__(self):
        self.channel = Channel()
        self.queue = collections.deque()
        self.ready = threading.Semaphore(0)
        self.only = None
        self.only_since = 0.0
        self.per_slot = 1
        self.code = "/"
        self.log_bytes = 10 * 1024 * 1024
        self.result_bytes = 6 * 1024 * 1024
        self.reading = threading.Lock()
        # What is printed at load, or by what a finished call left behind, is capped like a call's.
        self.outside = types.SimpleNamespace(id=0, printed=0, dropped=0)

    # ---------------------------------------------------------------- output

    def call_now(self):
        """The call whose code is running; None outside of any, and for what a finished call left behind."""
        call = self.only if self.per_slot == 1 else running_call.get()
        return None if call is None or call.done else call

    def printed(self, stream, data):
        if getpid() != self.channel.owner:
            os.write(stream, data)  # A forked child has no part in the channel: its raw descriptors are read too.
            return
        call = self.call_now()
        if call is None:
            call = self.outside
        room = self.log_bytes - call.printed
        kept = data if len(data) <= room else data[:max(0, room)]
        call.printed += len(kept)
        call.dropped += len(data) - len(kept)
        if kept:
            self.channel.print(call.id, stream, kept)

    # ---------------------------------------------------------------- calls

    def take(self, kind, body):
        if kind == CALL:
            self.queue.append(Call(body))
            self.ready.release()
        elif kind == RECALL:
            ids = []
            while True:
                try:
                    ids.append(self.queue.popleft().id)
                except IndexError:
                    break
            self.channel.frame(RETURNED, struct.pack("<%dI" % len(ids), *ids))

    def serve_alone(self, handler, shared):
        """One call at a time, in the main thread: no hand-over between threads on the way of a call."""
        threading.Thread(target=self.watch, name="fns-watch", daemon=True).start()
        while True:
            if not self.queue:
                with self.reading:
                    for kind, body in self.channel.read():
                        self.take(kind, body)
                continue
            try:
                call = self.queue.popleft()
            except IndexError:
                continue  # The watch has just given it back.
            self.only_since, self.only = monotonic(), call
            try:
                self.run(handler, shared, call)
            finally:
                self.only = None

    def watch(self):
        """While a handler runs: sends its lines, and gives waiting calls back when asked to."""
        while True:
            sleep(WATCH_SEC)
            self.channel.flush_printed()
            if self.only is None or monotonic() - self.only_since < WATCH_SEC:
                continue
            if not self.reading.acquire(blocking=False):
                continue
            try:
                if self.only is not None and self.channel.waiting():
                    for kind, body in self.channel.read():
                        self.take(kind, body)
            finally:
                self.reading.release()

    def serve_together(self, handler, shared):
        """`per_slot` calls at once, a thread each; this thread reads."""
        start = threading.Thread.start

        def start_in_context(thread):
            # A thread that a handler starts prints for its call, as awaits and timers do elsewhere.
            context, run = contextvars.copy_context(), thread.run
            thread.run = lambda: context.run(run)
            start(thread)

        def work():
            while True:
                self.ready.acquire()
                try:
                    call = self.queue.popleft()
                except IndexError:
                    continue
                running_call.set(call)
                self.run(handler, shared, call)

        for number in range(self.per_slot):
            threading.Thread(target=work, name="fns-%d" % number, daemon=True).start()
        threading.Thread(target=self.watch, name="fns-watch", daemon=True).start()
        threading.Thread.start = start_in_context
        while True:
            for kind, body in self.channel.read():
                self.take(kind, body)

    def run(self, handler, shared, call):
        kind, body = self.outcome(handler, shared, call)
        if getpid() != self.channel.owner:
            leave(0)  # A child that the handler forked came back out of it.
        call.done = True
        for printed in (call, self.outside):
            if printed.dropped:
                self.channel.frame(DROPPED, struct.pack("<Id", printed.id, printed.dropped))
        self.outside.printed = self.outside.dropped = 0
        self.channel.frame(kind, struct.pack("<I", call.id), body)
        if kind == BROKEN:
            leave(0)

    def outcome(self, handler, shared, call):
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
                result = self.stream(call, result)
            body = to_json(result)
            if len(body) > self.result_bytes:
                raise LoadError("Function.ResponseTooLarge", "The result has %d bytes; at most %d are allowed." % (len(body), self.result_bytes))
            return RESULT, body
        except SystemExit as error:
            message = "The function ended its process with sys.exit(%s)." % ("" if error.code is None else repr(error.code)[:200])
            return BROKEN, error_json({"type": "Runtime.ExitError", "message": message, "stack": []})
        except BaseException as error:
            return ERROR, error_json(self.describe(error))

    def stream(self, call, chunks):
        """A generator's chunks as a streamed answer; a first dict with a statusCode is its head."""
        first = True
        for chunk in chunks:
            if first and isinstance(chunk, dict) and "statusCode" in chunk:
                self.channel.frame(HEAD, struct.pack("<I", call.id), to_json(chunk))
            else:
                data = chunk if isinstance(chunk, (bytes, bytearray)) else chunk.encode() if isinstance(chunk, str) else to_json(chunk)
                for start in range(0, len(data), DATA_PIECE_BYTES):
                    self.channel.frame(DATA, struct.pack("<I", call.id), bytes(data[start:start + DATA_PIECE_BYTES]))
            first = False
        return None

    # ---------------------------------------------------------------- errors

    def describe(self, error):
        """Whatever was thrown, as it can be shown. Never raises: methods of hostile exceptions may."""
        try:
            if isinstance(error, LoadError):
                return {"type": error.kind, "message": str(error), "stack": []}
            kind = type(error).__name__
            if isinstance(error, SyntaxError):
                kind = "Runtime.UserCodeSyntaxError"
            return {"type": kind[:256], "message": str(error)[:MESSAGE_CHARS], "stack": self.stack(error)}
        except BaseException:
            return {"type": "Error", "message": "What the function raised cannot be shown.", "stack": []}

    def stack(self, error):
        whole = traceback.TracebackException(type(error), error, error.__traceback__, limit=STACK_LINES)
        seen = set()
        part = whole
        while part is not None and id(part) not in seen:
            seen.add(id(part))
            part.stack = traceback.StackSummary.from_list([f for f in part.stack if f.filename != HERE and not f.filename.startswith("<frozen importlib")])
            part = part.__cause__ or part.__context__
        prefix = os.path.join(self.code, "")
        lines = "".join(whole.format()).replace('"' + prefix, '"').splitlines()
        return [line[:LINE_CHARS] for line in lines[:STACK_LINES]]


def to_json(value):
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # Half a surrogate pair is no UTF-8, but may stand in JSON as an escape.
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise LoadError("Runtime.MarshalError", "The result is no JSON: %s" % error)


def error_json(info):
    return json.dumps(info, separators=(",", ":")).encode()


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


def shared_context(given):
    name, version = given["functionName"], given["version"]
    qualifier = "" if version == "$LATEST" else ":" + version
    return {
        "function_name": name,
        "function_version": version,
        "invoked_function_arn": "arn:aws:lambda:local:000000000000:function:%s%s" % (name, qualifier),
        "memory_limit_in_mb": str(given["memoryMb"]),
        "log_group_name": "/aws/lambda/" + name,
        "log_stream_name": "%s/[%s]%d" % (time.strftime("%Y/%m/%d", time.gmtime()), version, getpid()),
        "tenant": given["tenant"],
        "namespace": given["namespace"],
        "timeout_sec": given["timeoutSec"],
    }


def install_environment(given, shared):
    """Lambda's reserved variables win over the tenant's."""
    if given.get("tmp"):
        os.environ["TMPDIR"] = given["tmp"]
    os.environ.update(given["env"])
    os.environ.update({
        "_HANDLER": given["handler"],
        "LAMBDA_TASK_ROOT": given["code"],
        "AWS_EXECUTION_ENV": "AWS_Lambda_python%d.%d" % sys.version_info[:2],
        "AWS_LAMBDA_FUNCTION_NAME": shared["function_name"],
        "AWS_LAMBDA_FUNCTION_VERSION": shared["function_version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": shared["memory_limit_in_mb"],
        "AWS_LAMBDA_LOG_GROUP_NAME": shared["log_group_name"],
        "AWS_LAMBDA_LOG_STREAM_NAME": shared["log_stream_name"],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    })
    if "TZ" in given["env"]:
        time.tzset()


def prepare():
    """Everything that needs no function, so that assignment costs only the tenant's own imports."""
    sys.stdout, sys.stderr = Text(slot, 1, "<stdout>"), Text(slot, 2, "<stderr>")
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    sys.dont_write_bytecode = True
    handler = LogHandler()
    handler.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime
    logging.getLogger().addHandler(handler)
    json.loads(json.dumps({"warm": [1.5, None, True, "ü"]}))
    gc.collect()
    gc.freeze()


def main():
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
        slot.channel.frame(INIT_FAILED, error_json(slot.describe(error)))
        leave(0)
    slot.channel.frame(READY)
    for kind, body in frames[1:]:
        slot.take(kind, body)
    (slot.serve_alone if slot.per_slot == 1 else slot.serve_together)(handler, shared)


slot = Slot()
prepare()
main()

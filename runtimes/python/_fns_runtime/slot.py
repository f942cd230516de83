"""The state of the process: one function, its calls, and who is running."""

import collections
import contextvars
import os
import struct
import threading
import types
from os import _exit as leave  # Names of their own: tenant code may replace those of the module.
from os import getpid
from time import monotonic, sleep

from _fns_runtime.answers import outcome
from _fns_runtime.channel import BROKEN, CALL, DROPPED, RECALL, RETURNED, Channel

# How long printed lines and a request to give calls back may wait while a handler runs.
WATCH_SEC = 0.02

running_call = contextvars.ContextVar("fns_call", default=None)


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
        kind, body = outcome(self, handler, shared, call)
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

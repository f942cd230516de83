"""The frames of lib/slots/frames.ts over descriptor 3."""

import fcntl
import os
import select
import struct
import threading
from os import _exit as leave  # Names of their own: tenant code may replace those of the module.
from os import getpid

ASSIGN, CALL, RECALL = 1, 2, 3
READY, INIT_FAILED, RESULT, ERROR, HEAD, DATA, LOG, DROPPED, RETURNED, BROKEN = range(17, 27)

LOG_PIECE_BYTES = 64 * 1024


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

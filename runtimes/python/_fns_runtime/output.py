"""What a function prints: `sys.stdout`, `sys.stderr` and the root logger, tagged with the call that runs."""

import io
import logging
import sys
import time


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

    def __init__(self, slot):
        super().__init__()
        self.slot = slot
        self.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
        self.formatter.converter = time.gmtime

    def emit(self, record):
        try:
            record.aws_request_id = getattr(self.slot.call_now(), "request_id", "-")
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def capture(slot):
    """From here on everything that Python prints goes through the slot."""
    sys.stdout, sys.stderr = Text(slot, 1, "<stdout>"), Text(slot, 2, "<stderr>")
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    logging.getLogger().addHandler(LogHandler(slot))

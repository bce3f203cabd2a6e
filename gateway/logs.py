"""Log lines made and written by a thread of their own, many at once.

A worker logs each connection. Made and written one by one, lines cost a tenth of what a connection costs in all, and a
reader of the log that stalls would stall every connection with it. So what is to be logged is kept for `PAUSE`, then
made into lines and written, all together. What cannot be written because nobody reads is kept up to `MOST`, then
dropped and counted. A worker that is killed takes the lines of the last moment with it; one that ends by itself, or by
a fault, writes them all.
"""

import collections
import logging
import os
import threading
import time
from collections.abc import Mapping

PAUSE = 0.05  # seconds lines are kept to be written together
TOGETHER = 256  # lines written at once
MOST = 8192  # lines kept while they cannot be written; one has about 150 characters
LAST_WORDS = 2.0  # seconds to write what is left when the process ends


_PLAIN = logging.Formatter()


class BackgroundHandler(logging.Handler):
    """Writes to a descriptor. Lines keep their order."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._records: collections.deque[logging.LogRecord] = collections.deque()
        self._dropped = 0
        self._telling = threading.Lock()  # between who brings news and who has written everything
        self._news = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep what is to be written. There are no filters here, and a lock of our own."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is to be written."""
        if record.exc_info:
            record.exc_text = (self.formatter or _PLAIN).formatException(record.exc_info)
            record.exc_info = None  # as in LeanRecord
        with self._telling:
            if len(self._records) < MOST:
                self._records.append(record)
            else:
                self._dropped += 1
            if not self._news.is_set():
                self._idle.clear()
                self._news.set()

    def flush(self) -> None:
        """Wait until everything is written, for a while."""
        self._idle.wait(LAST_WORDS)

    def _write_for_ever(self) -> None:
        while True:
            self._news.wait()
            time.sleep(PAUSE)
            self._news.clear()
            while self._records:
                self._write_some()
            with self._telling:
                if not self._news.is_set():
                    self._idle.set()

    def _write_some(self) -> None:
        lines = [self._line(self._records.popleft()) for _ in range(min(len(self._records), TOGETHER))]
        with self._telling:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(f"{dropped} lines of this log are lost: they came faster than it was read")
        self._write("\n".join((*lines, "")).encode("utf-8", "backslashreplace"))

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001  # of whoever logged this; the other lines are to be written
            return f"a line of this log could not be made: {record.msg!r}: {error}"

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                time.sleep(PAUSE)  # whoever gave us the descriptor made it non-blocking
            except OSError:
                return  # nobody will read it any more


class LeanRecord(logging.LogRecord):
    """A record of what is printed; to find out where in the code a line comes from would cost more than all else."""

    def __init__(
        self,
        name: str,
        level: int,
        _path: str,
        _line: int,
        msg: object,
        args: "logging._ArgsType | None",
        exc_info: "logging._SysExcInfoType | None",
        *_others: object,
    ) -> None:
        self.created = time.time()
        self.name = name
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.msg = msg
        # A failure holds on to all that failed: connections would live for as long as nobody reads the log.
        if args and any(isinstance(arg, BaseException) for arg in args):
            args = tuple(str(arg) if isinstance(arg, BaseException) else arg for arg in args)
        only = args[0] if args and len(args) == 1 and not isinstance(args, Mapping) else None
        self.args = only if isinstance(only, Mapping) else args  # as logging has it: "%(name)s" takes one mapping
        self.exc_info = exc_info
        self.exc_text = self.stack_info = None


class SecondsFormatter(logging.Formatter):
    """As logging's own, with a clock read once a second: strftime costs as much as the rest of a line."""

    _second = 0
    _text = ""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Make the line; what strangers have sent cannot begin another, nor move a terminal's cursor."""
        if not record.message.isprintable():
            record.message = "".join(
                letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
                for letter in record.message
            )
        return super().formatMessage(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        """Give the time to the millisecond."""
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text},{int((record.created - second) * 1000):03d}"


def log_to(descriptor: int) -> None:
    """Have everything logged in this process, from INFO on, written to a descriptor."""
    logging._srcfile = None  # as logging's documentation has it (Optimization): nobody prints where a line comes from
    logging.setLogRecordFactory(LeanRecord)
    handler = BackgroundHandler(descriptor)
    handler.setFormatter(SecondsFormatter(f"%(asctime)s %(levelname)s {os.getpid()} %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])

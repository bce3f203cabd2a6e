"""Log lines written by a thread of their own, many at once.

A worker logs each connection. Written one by one that costs a tenth of what a connection costs in all, and a reader of
the log that stalls would stall every connection with it. So lines are kept for `PAUSE` and then written together. What
cannot be written because nobody reads is kept up to `MOST`, then dropped and counted. A worker that is killed takes
the lines of the last moment with it; one that ends by itself, or by a fault, writes them all.
"""

import logging
import os
import threading
import time

PAUSE = 0.05  # seconds lines are kept to be written together
MOST = 1024 * 1024  # characters kept while they cannot be written
LAST_WORDS = 2.0  # seconds to write what is left when the process ends

logging.logProcesses = logging.logMultiprocessing = logging.logThreads = False  # nobody prints them


class BackgroundHandler(logging.Handler):
    """Writes to a descriptor. Lines keep their order."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._keeping = threading.Lock()  # of what follows
        self._lines: list[str] = []
        self._size = 0
        self._dropped = 0
        self._news = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line to be written."""
        line = self.format(record)
        with self._keeping:
            if self._size > MOST:
                self._dropped += 1
            else:
                self._size += len(line)
                self._lines.append(line)
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
            with self._keeping:
                self._news.clear()
                lines, self._lines = self._lines, []
                dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(f"{dropped} lines of this log are lost: they came faster than it was read")
            self._write("\n".join((*lines, "")).encode("utf-8", "backslashreplace"))
            with self._keeping:
                self._size = sum(map(len, self._lines))
                if not self._news.is_set():
                    self._idle.set()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                time.sleep(PAUSE)  # whoever gave us the descriptor made it non-blocking
            except OSError:
                return  # nobody will read it any more


class SecondsFormatter(logging.Formatter):
    """As logging's own, with a clock read once a second: strftime costs as much as the rest of a line."""

    _second = 0
    _text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        """Give the time to the millisecond."""
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, super().formatTime(record, datefmt)[: -len(",000")]
        return f"{self._text},{int(record.msecs):03d}"


def log_to(descriptor: int) -> None:
    """Have everything logged, from INFO on, written to a descriptor."""
    handler = BackgroundHandler(descriptor)
    handler.setFormatter(SecondsFormatter(f"%(asctime)s %(levelname)s {os.getpid()} %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])

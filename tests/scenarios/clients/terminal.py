"""psql in a terminal, typed to as a person does: the terminal makes a signal of the byte of Ctrl-C."""

import os
import pty
import re
import select
import subprocess
import termios
from collections.abc import Callable

from tests.running import PATIENCE
from tests.scenarios.clients import tools
from tests.scenarios.clients.driven import Client, SqlError
from tests.scenarios.databases import Way

CTRL_C = b"\x03"
_READY = "<it is your turn>"
_ERROR = re.compile(r"(?:ERROR|FATAL): +(?:([0-9A-Z]{5}): )?(.*)")


class Psql(Client):
    """psql. Its input is typed line by line; errors come with their SQLSTATE, but not those of the login."""

    def __init__(self, way: Way, *, newest: bool = False, **options: object) -> None:
        """`newest` is not the system's."""
        program, base = (tools.program("psql"), tools.environment()) if newest else ("psql", dict(os.environ))
        env = {**base, "PGPASSWORD": way.password}
        self._terminal, inside = pty.openpty()
        attributes = termios.tcgetattr(inside)
        attributes[3] &= ~termios.ECHO  # what is typed is not to be read back; Ctrl-C stays what it is
        termios.tcsetattr(inside, termios.TCSANOW, attributes)
        prompts = [f"--set={name}=" for name in ("PROMPT1", "PROMPT2")]
        plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-readline", "--pset=pager=off"]
        told = [*prompts, "--set=VERBOSITY=verbose", way.conninfo(password=None, **options)]
        # setsid makes the terminal the one that psql belongs to: without one, Ctrl-C is a byte like any other
        self._psql = subprocess.Popen(
            ["setsid", "--ctty", program, *plain, *told],
            stdin=inside, stdout=inside, stderr=inside, env=env,
        )  # fmt: skip
        os.close(inside)
        try:
            self._answer()
        except SqlError:
            self._end()
            raise

    def ask(self, sql: str) -> str:
        self._type(f"{sql};\n".encode())
        return self._answer()

    def interrupt(self, sql: str, running: Callable[[], None]) -> None:
        self._type(f"{sql};\n".encode())
        running()
        self._type(CTRL_C)  # the terminal forgets what was typed before it and not read
        self._answer()

    def close(self) -> None:
        self._type(b"\\q\n")
        self._end()

    def _answer(self) -> str:
        """Give what psql writes until it is asked to write that it is ready."""
        self._type(f"\\echo '{_READY}'\n".encode())
        seen = self._read_until(_READY)
        error = _ERROR.search(seen)
        if error:
            raise SqlError(error[1] or "", seen[error.start(2) :])
        return seen.strip()

    def _read_until(self, mark: str) -> str:
        """Read to a mark, or to psql's end."""
        seen = b""
        while mark.encode() not in seen:
            assert select.select([self._terminal], [], [], PATIENCE)[0], seen
            try:
                seen += os.read(self._terminal, 65_536)
            except OSError:  # EIO: nobody is on the other side any more
                break
        return seen.decode().replace("\r\n", "\n").partition(mark)[0]

    def _type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def _end(self) -> None:
        self._psql.wait(PATIENCE)
        os.close(self._terminal)

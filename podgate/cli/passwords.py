"""Passwords: asked without an echo on a terminal, else read from a file or standard input; never an argument."""

import getpass
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from podgate.cli.failure import Failure

LONGEST = 1024  # characters

PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Read the password from this file; - is standard input."),
]


def read_password(question: str, file: Path | None, *, new: bool = False) -> str:
    """Get a password; one that is new is asked for twice. Raises Failure."""
    if file is not None and str(file) != "-":
        return read_secret(file, "password")
    if file is None and sys.stdin.isatty():
        return _asked(question, twice=new)
    return first_line(sys.stdin, "standard input", "password")


def read_secret(file: Path, noun: str) -> str:
    """Read a file that holds nothing but a secret. Raises Failure."""
    try:
        with file.open(encoding="utf-8") as opened:
            return first_line(opened, str(file), noun)
    except OSError as error:
        raise Failure(f"cannot read the {noun} from {file}: {error.strerror}; check the path and its mode") from None


def first_line(source: TextIO, name: str, noun: str) -> str:
    """Read the one line of a secret. Raises Failure if there is none, or more than that."""
    try:
        text = source.read(LONGEST + 2).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Failure(f"{name} is not UTF-8; write the {noun} as one line of text") from None
    if not text:
        raise Failure(f"{name} holds no {noun}; write it there, or give another with --password-file")
    if len(text) > LONGEST or "\n" in text:
        raise Failure(f"{name} holds more than a {noun}: expected one line of at most {LONGEST} characters")
    return text


def _asked(question: str, *, twice: bool) -> str:
    try:
        password = getpass.getpass(f"{question}: ", stream=sys.stderr)
        if twice and getpass.getpass("Once more: ", stream=sys.stderr) != password:
            raise Failure("the two passwords differ; try again")
    except EOFError:
        raise Failure("no password was typed; try again") from None
    if not password:
        raise Failure("an empty password is none; try again")
    return password

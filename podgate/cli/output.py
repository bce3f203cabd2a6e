"""What a command says: answers on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."
WIDE = 400  # columns: where nobody looks at a terminal, tables are not squeezed into one

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on standard output.")]


def answer(text: str) -> None:
    """Write a line of the answer, or several."""
    typer.echo(_lines(text))


def answer_json(value: object) -> None:
    """Write the answer as JSON."""
    typer.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """Write JSON in which letters are themselves, and what would move a terminal's cursor is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def answer_table(columns: Sequence[str], rows: Iterable[Sequence[object]], spare: Sequence[str] = ()) -> None:
    """Write the answer as a table. A terminal too narrow for it goes without the `spare` columns, first to last."""
    cells = [[visible(value) for value in row] for row in rows]
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    shown = fitting(columns, cells, console.width, spare)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index in shown:
        table.add_column(columns[index], overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[index]) for index in shown))
    console.print(table)
    left_out = [name for index, name in enumerate(columns) if index not in shown]
    if left_out:
        talk(f"There is no room for {', '.join(left_out)}: make the terminal wider, or ask for --json.")


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str]) -> list[int]:
    """Choose which columns to show, by number: all, or as many of the `spare` ones left out as have to be."""
    wide = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    shown = list(range(len(columns)))
    for name in spare:
        if sum(wide[index] for index in shown) + 2 * (len(shown) - 1) <= width:
            break
        shown.remove(columns.index(name))
    return shown


def report(document: object, sentence: str, as_json: bool) -> None:
    """Tell what was done: a document for programs, a sentence for people."""
    if as_json:
        answer_json(document)
    else:
        talk(sentence)


def visible(value: object) -> str:
    """Give a text that strangers may have written as a line of its own: nothing in it moves the cursor."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(value))


def talk(text: str) -> None:
    """Tell a person something that is not the answer."""
    typer.echo(_lines(text), err=True)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner while the block runs, if somebody watches; call the result with what is going on now."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(Text(text)) as spinner:
        yield lambda now: spinner.update(Text(f"{text}: {now}"))


def _lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))

"""What all commands that measure have in common: choosing, how far they are, and results for people and programs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.run import RESULTS, make_directory
from podgate.cli.failure import Failure


def known(kind: str, names: Sequence[str], there_are: Sequence[str]) -> list[str]:
    """Give the names in the order of those there are. Raises typer.BadParameter for any other."""
    for name in names:
        if name not in there_are:
            raise typer.BadParameter(f"there is no {kind} {name!r}; there are {', '.join(there_are)}")
    return [name for name in there_are if name in names]


def prepare(out: Path | None, name: str, suffix: str = "") -> Path:
    """Make the directory for results before the work is done that fills it. Raises Failure."""
    try:
        return make_directory(out, name, suffix)
    except OSError as error:
        raise Failure(
            f"no results can be kept in {out or RESULTS}: {error.strerror}; name another: --out DIR"
        ) from None


def show(text: str, document: Callable[[], Any], directory: Path, as_json: bool) -> None:
    """Write the page, and tell it; or tell the document, where a program asks."""
    (directory / "README.md").write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(document(), ensure_ascii=False))
    elif sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text)
    typer.echo(f"results: {directory}", err=True)


def pictures(draw: Callable[[], list[str]]) -> list[str]:
    """Draw, and give the names of the pictures; none without matplotlib, which `draw` is to import itself."""
    try:
        return draw()
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        typer.echo("no pictures: matplotlib is not installed; pip install 'podgate[bench]'", err=True)
        return []


class Tell(Protocol):
    """Takes what a run is at."""

    def __call__(self, text: str, done: int, *, counts: bool = True) -> None:
        """`done` of its rounds are; without `counts`, this is none of them."""


@contextmanager
def counting(total: int) -> Iterator[Tell]:
    """Show how far a run of so many rounds is. It redraws only when told something: nothing else is to run while one is
    measured.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)

        def tell(text: str, done: int, *, counts: bool = True) -> None:
            progress.update(task, description=text, completed=done, refresh=True)
            if not console.is_terminal:
                typer.echo(f"[{done + 1}/{total}] {text}" if counts else text, err=True)

        yield tell
        progress.update(task, description="done", completed=total, refresh=True)

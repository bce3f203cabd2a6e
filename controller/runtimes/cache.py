"""What is made once for all pods of a home, below `<home>/cache`: software their users can reach, prepared data.

A wheel's files may lie where only root may go (a virtual environment below /root). Then what a template needs of them
is linked, or copied, into `software/<name>-<version>/`. Everything here is made beside its place and then renamed into
it: it is whole, or it is not there.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trio

from controller.runtimes import RuntimeFailure
from controller.runtimes.records import remove_tree
from controller.runtimes.software import Software, find

PATH = "/usr/local/bin:/usr/bin:/bin"  # for everything that runs on behalf of pods


class Cache:
    """The cache directory of a home. Should two controllers make the same, what was made first stays."""

    def __init__(self, directory: Path, find: Callable[[str], Software] = find) -> None:
        self._directory = directory
        self._find = find
        self._lock = trio.Lock()

    async def software(self, names: Iterable[str]) -> dict[str, str]:
        """Give the variables of the named software, with places that pods' users can reach. Raises RuntimeFailure."""
        async with self._lock:
            return await trio.to_thread.run_sync(self._reach_all, list(names))

    async def prepared(self, script: Path, variables: Mapping[str, str]) -> Path:
        """Give the directory that `script` makes with this software, making it first if there is none yet.

        The script runs as a user who is not root but has a passwd entry, and writes below $OUT. Raises RuntimeFailure.
        """
        async with self._lock:
            return await trio.to_thread.run_sync(self._prepare, script, variables)

    def _reach_all(self, names: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for software in map(self._find, names):
            base = self._reach(software)
            found |= {variable: str(base / place) for variable, place in software.variables.items()}
        return found

    def _reach(self, software: Software) -> Path:
        if os.geteuid() != 0 or all(_open_to_all(software.base / part) for part in software.parts):
            return software.base
        target = self._directory / "software" / f"{software.name}-{software.version}"
        if not target.exists():
            self._directory.mkdir(exist_ok=True)
            self._directory.chmod(0o755)
            with _made_whole(target) as new:
                for part in software.parts:
                    _link_tree(software.base / part, new / part)
        return target

    def _prepare(self, script: Path, variables: Mapping[str, str]) -> Path:
        content = script.read_bytes() + repr(sorted(variables.items())).encode()
        target = self._directory / f"{script.stem}-{hashlib.sha256(content).hexdigest()[:16]}"
        if not target.exists():
            with _made_whole(target) as new:
                _run_script(script.read_text(), new, variables)
        return target


def _run_script(content: str, out: Path, variables: Mapping[str, str]) -> None:
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if user is not None:
        os.chown(out, user.pw_uid, user.pw_gid)
    result = subprocess.run(
        ["/bin/sh", "-c", content],
        env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(out), "OUT": str(out), **variables},
        cwd=out,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
        check=False,
    )
    if result.returncode != 0:
        lines = result.stdout.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it wrote nothing"
        raise RuntimeFailure(f"preparing the software failed: {last}", result.stdout)


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """Give a directory to fill, which is `target`, readable to all, only if it was filled without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        new.chmod(0o755)
        yield new
        _open_up(new)
        new.rename(target)
    except BaseException as error:
        remove_tree(new)
        if not isinstance(error, OSError) or not target.is_dir():
            raise


def _open_up(tree: Path) -> None:
    """Make all of it ours, and readable to everybody."""
    for directory, _names, files in os.walk(tree):
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            if not path.is_symlink() and not _readable_and_ours(path.stat()):
                mode = path.stat().st_mode
                os.chown(path, os.geteuid(), os.getegid())
                path.chmod(_opened_mode(mode))


def _opened_mode(mode: int) -> int:
    return mode | 0o444 | (0o111 if mode & 0o100 else 0)


def _readable_and_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and _opened_mode(status.st_mode) == status.st_mode


def _open_to_all(path: Path) -> bool:
    """Tell whether any user may reach and read `path`; what is in it is taken to be like it."""
    path = path.resolve()
    return all(way.stat().st_mode & 0o001 for way in path.parents) and path.stat().st_mode & 0o005 == 0o005


def _link_tree(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    """Link a file that is ours and everybody may read, where the file system allows; copy it otherwise."""
    if _readable_and_ours(Path(source).stat()):
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)

"""The image's build file, as far as it can be tried where no engine runs: it is read, and what it installs is installed
and started as the image would, as nobody's user on a file system that cannot be written to.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.charts import ROOT

FILE = ROOT / "deploy" / "Containerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """Give what the file says, without comments and with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    told = instructions()
    begins = [index for index, (word, _rest) in enumerate(told) if word == "FROM"]
    return told[begins[-1] :]


def test_the_base_is_pinned_by_one_variable() -> None:
    told = instructions()
    assert [rest for word, rest in told if word == "ARG"] == ["PYTHON=docker.io/library/python:3.13-slim-bookworm"]
    assert {rest.split()[0] for word, rest in told if word == "FROM"} == {"${PYTHON}"}


def test_all_packages_are_copied_and_nothing_else_is() -> None:
    packages = {each.rstrip("*") for each in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {
        name for word, rest in instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    assert copied == packages | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored
    assert not [word for word, _rest in instructions() if word == "ADD"]


def test_nobody_is_root_and_a_cluster_can_see_it() -> None:
    told = dict(final_stage())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", told["USER"])
    assert "RUN" not in told  # so nothing of a shell's leftovers is in a layer
    assert told["ENTRYPOINT"] == '["podgate"]'
    assert told["ENTRYPOINT"][2:-2] in PROJECT["project"]["scripts"]


def test_what_it_installs_is_what_the_project_offers() -> None:
    run = next(rest for word, rest in instructions() if word == "RUN")
    (wanted,) = re.findall(r"\.\[(\w+)\]", run)
    assert wanted in PROJECT["project"]["optional-dependencies"]
    assert "--constraint constraints.txt" in run


# ---- as it would run


def interpreter() -> Path | None:
    """Find an interpreter that everybody may run; one in somebody's own folder is not."""
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        if path.exists() and all(each.stat().st_mode & 0o001 for each in (path, *path.parents)):
            told = subprocess.run(
                [path, "-c", "import sys, venv; print(sys.version_info >= (3, 11))"], capture_output=True
            )
            if told.stdout == b"True\n":
                return path
    return None


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Do what the build does, in a folder that everybody may look into."""
    python = interpreter()
    if python is None:
        pytest.skip("there is no Python 3.11 here that another user may run")
    place = Path("/tmp") / f"podgate-image-{os.getpid()}"
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__", "results")
    for word, rest in instructions():
        for name in rest.split()[:-1] if word == "COPY" and "--from" not in rest else ():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, source / name)
    run = next(rest for word, rest in instructions() if word == "RUN").replace("/opt/podgate", str(place))
    steps = [shlex.split(step) for step in run.split("&&")]
    env = {**os.environ, "PIP_ONLY_BINARY": ":all:", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env.pop("PYTHONPATH", None)
    try:
        for step in steps:
            program = [sys.executable, "-m", "pip", *step[1:]] if step[0] == "pip" else step
            program = [str(python), *step[1:]] if step[0] == "python" else program
            done = subprocess.run(program, cwd=source, env=env, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stdout + done.stderr
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def contained(place: Path, home: Path, command: str) -> list[str]:
    """Give the command line that runs as the chart has containers run: nobody's user, who writes to the home alone."""
    script = (
        f"mount --bind {home} /mnt && mount -o remount,bind,ro / && mount -t tmpfs -o ro none /home && "
        "exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "
        f"env -i HOME=/mnt PODGATE_HOME=/mnt/home PYTHONDONTWRITEBYTECODE=1 PATH={place}/bin:/usr/bin:/bin {command}"
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]


def told(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and unshare, to have nothing to write to",
)
def test_it_runs_as_nobody_s_user_where_nothing_can_be_written(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "volume"
    home.mkdir(mode=0o700)
    os.chown(home, 10001, 10001)
    assert told(contained(installed, home, "sh -c 'touch /tmp/x || id -u'")) == "10001\n"
    assert told(contained(installed, home, "podgate --version")) == f"podgate {PROJECT['project']['version']}\n"
    found = told(contained(installed, home, "podgate doctor --runtime kubernetes --listen 127.0.0.1:0"))
    assert "home: /mnt/home will be made in /mnt" in found
    assert "there is no service account here" in found  # the official client is there
    controller = contained(installed, home, "timeout 60 podgate controller --domain pods.test")
    with subprocess.Popen(controller, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        assert any("serving /mnt/home/run/api.sock for pods.test" in line for line in started.stderr)
        started.terminate()

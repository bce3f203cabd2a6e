"""Two gibibytes up and down through a gateway whose memory stays as it is: bodies are relayed, never gathered."""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Podgate, running_podgate
from tests.scenarios.api import share
from tests.scenarios.apps import App, app
from tests.scenarios.people import Curl, add, make_token

SIZE = 2 << 30  # bytes
WARMING = 64 << 20  # bytes until buffers have the size they keep
LONGEST = 30.0  # seconds one transfer may take
MOST_GROWTH = 8 << 20  # bytes, of all workers together
LOOK = 0.05  # seconds between two looks at their memory


@pytest.fixture(scope="module")
def podgate() -> Iterator[Podgate]:
    """One of its own: nobody else is to use its workers' memory."""
    with running_podgate("--workers", "1") as running:
        yield running


@pytest.fixture(scope="module")
def store(podgate: Podgate) -> App:
    return app(podgate, "store", "write")


@pytest.fixture(scope="module")
def bearer(podgate: Podgate, store: App) -> str:
    hanna = add(podgate, "hanna")
    share(podgate, store.name, hanna.name, "write")
    return f"Authorization: Bearer {make_token(podgate, 'bulk', hanna.name)}"


@pytest.fixture(scope="module")
def zeroes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file of `SIZE` zeroes that takes no room."""
    path = tmp_path_factory.mktemp("bulk") / "zeroes"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


@pytest.fixture(scope="module")
def hash_of_zeroes() -> str:
    seen, piece = hashlib.sha256(), bytes(1 << 20)
    for _ in range(SIZE // len(piece)):
        seen.update(piece)
    return seen.hexdigest()


def memory(podgate: Podgate) -> int:
    """Give the bytes of memory the workers have in use."""
    statuses = (Path(f"/proc/{pid}/status").read_text() for pid in podgate.children("gateway.worker"))
    found = [int(line.split()[1]) << 10 for status in statuses for line in status.splitlines() if "VmRSS" in line]
    assert found, "no worker was found"
    return sum(found)


def watched(podgate: Podgate, *command: str, stdin: Path | None = None) -> str:
    """Run curl; give what it printed, if the workers' memory stayed flat and it ended in time."""
    before, most, end = memory(podgate), 0, time.monotonic() + LONGEST
    options = ("curl", "--silent", "--show-error", "--fail", "--cacert", str(podgate.ca))
    with (stdin or Path("/dev/null")).open("rb") as given:
        curl = subprocess.Popen([*options, *command], stdin=given, stdout=subprocess.PIPE, text=True)
        while curl.poll() is None:
            assert time.monotonic() < end, f"{command}: not done after {LONGEST:g} s"
            most = max(most, memory(podgate))
            try:
                curl.wait(LOOK)
            except subprocess.TimeoutExpired:
                continue
        printed, _ = curl.communicate()
    assert curl.returncode == 0
    assert most - before <= MOST_GROWTH, f"{command}: memory grew by {(most - before) >> 10} KiB"
    return printed


def warm(podgate: Podgate, store: App, bearer: str, tmp_path: Path) -> None:
    curl = Curl(podgate, tmp_path / "jar")
    assert curl.ask(f"{store.origin}/big?bytes={WARMING}", "--header", bearer, "--output", "/dev/null")[0] == 200


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_down(podgate: Podgate, store: App, bearer: str, tmp_path: Path, framing: str) -> None:
    warm(podgate, store, bearer, tmp_path)
    url = f"{store.origin}/big?bytes={SIZE}{'&length' if framing == 'length' else ''}"
    printed = watched(podgate, "--header", bearer, "--output", "/dev/null", "--write-out", "%{size_download}", url)
    assert int(printed) == SIZE


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_up(
    podgate: Podgate, store: App, bearer: str, zeroes: Path, hash_of_zeroes: str, tmp_path: Path, framing: str
) -> None:
    warm(podgate, store, bearer, tmp_path)
    source, stdin = ("-", zeroes) if framing == "chunked" else (str(zeroes), None)
    chunked = ("--header", "Transfer-Encoding: chunked") if framing == "chunked" else ()
    printed = watched(
        podgate, "--header", bearer, *chunked, "--request", "POST", "--upload-file", source, f"{store.origin}/upload",
        stdin=stdin,
    )  # fmt: skip
    told = json.loads(printed)
    assert (told["count"], told["sha256"]) == (SIZE, hash_of_zeroes)

"""Software is found, made reachable for pods' users, and prepared once."""

import os
from pathlib import Path

import pytest
import trio

from controller.runtimes import RuntimeFailure
from controller.runtimes.cache import Cache
from controller.runtimes.software import Software, find
from tests.controller.runtimes.homes import new_home

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's pods run as that user")


@pytest.mark.parametrize("name", ["postgres", "arcadedb", "caddy"])
def test_software_is_found_and_is_where_its_variables_say(name: str) -> None:
    software = find(name)
    assert all((software.base / place).exists() for place in software.variables.values())
    assert all((software.base / part).exists() for part in software.parts)


def test_missing_software_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeFailure, match=r"arcadedb is not installed.*pip install arcadedb-embedded"):
        find("arcadedb")


def hidden_software(home: Path) -> Software:
    """Make a program in a directory that only root may enter."""
    base = home / "closed"
    (base / "bin").mkdir(parents=True)
    base.chmod(0o700)
    (base / "bin" / "tool").write_text("#!/bin/sh\necho it runs\n")
    (base / "bin" / "tool").chmod(0o700)
    (base / "bin" / "open").write_text("text")
    (base / "bin" / "open").chmod(0o644)
    (base / "bin" / "link").symlink_to("tool")
    return Software("tool", "1.0", base, ("bin",), {"TOOL": "bin/link"})


@root_only
async def test_software_only_root_can_reach_is_made_reachable_once() -> None:
    with new_home() as home:
        software = hidden_software(home)
        variables = await Cache(home / "cache", lambda name: software).software(["tool"])
        assert variables == {"TOOL": str(home / "cache/software/tool-1.0/bin/link")}
        result = await trio.run_process([variables["TOOL"]], capture_stdout=True, user=65534, group=65534)
        assert result.stdout == b"it runs\n"
        made = home / "cache/software/tool-1.0/bin"
        assert made.joinpath("open").samefile(software.base / "bin/open")  # linked, for everybody may read it
        assert not made.joinpath("tool").samefile(software.base / "bin/tool")  # copied: the original stays closed
        assert (software.base / "bin/tool").stat().st_mode & 0o777 == 0o700
        made.joinpath("kept").touch()
        await Cache(home / "cache", lambda name: software).software(["tool"])
        assert made.joinpath("kept").exists()


async def test_what_a_script_prepares_is_made_once_and_not_by_root() -> None:
    with new_home() as home:
        script = home / "make.sh"
        script.write_text('id -u > "$OUT/user"; echo "$TOOL" > "$OUT/tool"; mkdir -m 700 "$OUT/closed"')
        cache = Cache(home / "cache")
        made = await cache.prepared(script, {"TOOL": "hammer"})
        assert (made / "tool").read_text() == "hammer\n"
        assert (made / "user").read_text() != "0\n"
        assert (made / "closed").stat().st_mode & 0o005 == 0o005
        assert await cache.prepared(script, {"TOOL": "hammer"}) == made
        assert await cache.prepared(script, {"TOOL": "saw"}) != made


async def test_two_that_prepare_the_same_at_once_have_one() -> None:
    with new_home() as home, trio.fail_after(30):
        script, made = home / "make.sh", list[Path]()
        script.write_text('until [ "$(ls -d "$OUT"/../.new-* "$OUT"/../make-* | wc -l)" = 2 ]; do :; done 2>/dev/null')

        async def prepare() -> None:
            made.append(await Cache(home / "cache").prepared(script, {}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(prepare)
            nursery.start_soon(prepare)
        assert made[0] == made[1]
        assert list((home / "cache").iterdir()) == [made[0]]


async def test_a_script_that_fails_leaves_nothing_and_says_why() -> None:
    with new_home() as home:
        script = home / "make.sh"
        script.write_text('touch "$OUT/half"; echo no nails >&2; exit 1')
        with pytest.raises(RuntimeFailure, match="preparing the software failed: no nails"):
            await Cache(home / "cache").prepared(script, {})
        assert list((home / "cache").iterdir()) == []

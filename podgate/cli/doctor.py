"""`podgate doctor`: whether what Podgate needs is there, and what to do if it is not."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import typer

from podgate.checkup.findings import Finding, State, wrong
from podgate.cli.output import Json, answer, answer_json, visible
from podgate.cli.serving import Certificate, Home, Key, Kubeconfig, Listen, Runtime, RuntimeChoice
from podgate.settings import DEFAULT_LISTEN, default_home

_SIGNS = {State.OK: "ok", State.UNSURE: "?", State.WRONG: "WRONG"}


def doctor(
    home: Home = None,
    listen: Listen = DEFAULT_LISTEN,
    certificate: Certificate = None,
    key: Key = None,
    runtime: RuntimeChoice = Runtime.PROCESS,
    kubeconfig: Kubeconfig = None,
    as_json: Json = False,
) -> None:
    """Look whether what Podgate needs is there: on this machine, and in the cluster if pods run in one.

    Exit code 1 if something is wrong; what cannot be learnt (?) is none. Nothing is changed.
    """
    place = home.absolute() if home is not None else default_home()
    found: list[Finding] = []
    for finding in _look(place, listen, certificate, key, runtime, kubeconfig):
        found.append(finding)
        if not as_json:
            _show(finding)
    wrongs = sum(finding.state is State.WRONG for finding in found)
    if as_json:
        answer_json({"ok": not wrongs, "findings": [finding.to_document() for finding in found]})
    else:
        questions = sum(finding.state is State.UNSURE for finding in found)
        answer(f"{len(found)} looked at, {wrongs} wrong, {questions} to see for yourself")
    if wrongs:
        raise typer.Exit(1)


def _look(
    home: Path, listen: str, certificate: Path | None, key: Path | None, runtime: Runtime, kubeconfig: Path | None
) -> Iterator[Finding]:
    from podgate.checkup import database, machine

    logging.getLogger("httpx").setLevel(logging.WARNING)
    yield from machine.look(machine.Machine(home, listen, certificate, key, runtime is Runtime.PROCESS))
    yield from database.look()
    if runtime is Runtime.KUBERNETES:
        yield from _look_at_cluster(home, kubeconfig)


def _look_at_cluster(home: Path, kubeconfig: Path | None) -> Iterator[Finding]:
    from controller.runtimes.kubernetes.access import load_access
    from controller.runtimes.kubernetes.settings import FILE, read_settings
    from controller.settings import SettingsProblem
    from podgate.checkup.cluster import Checkup

    try:
        settings = read_settings(home / FILE)
        if kubeconfig is not None:
            settings = replace(settings, kubeconfig=str(kubeconfig.absolute()))
        access = load_access(settings)
    except SettingsProblem as problem:
        found, _semicolon, cure = str(problem).partition("; ")
        yield wrong("cluster", found, cure or f"mend {home / FILE}")
        return
    yield from Checkup(access, settings).look()


def _show(finding: Finding) -> None:
    answer(f"{_SIGNS[finding.state]:5} {finding.what}: {visible(finding.found)}")
    if finding.cure:
        answer(f"      → {visible(finding.cure)}")

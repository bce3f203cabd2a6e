"""The list of rights is what the runtime asks for, no more and no less; and what grants them."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio
import trio.testing

from controller.runtimes.kubernetes.rights import NEEDED, OF_OWNERS, Right, missing, rules_for
from tests.controller.runtimes.homes import LISTEN, PATIENCE
from tests.controller.runtimes.kubernetes.cluster import cluster, cluster_life

WATCH = Right("", "pods", "watch")
LOG = Right("", "pods/log", "get")


def asked(requests: list[str]) -> Iterator[Right]:
    """Give what an authorizer is asked for requests, `METHOD path?query` each."""
    for request in requests:
        method, target = request.split(" ", 1)
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        head, tail = url.path.split("/namespaces/", 1)
        group = head.split("/")[2] if head.startswith("/apis/") else ""
        resource, name, sub = ([*tail.split("/")[1:], "", ""])[:3]
        resource = f"{resource}/{sub}" if sub else resource
        if method == "GET":
            yield Right(group, resource, "get" if name else "watch" if query.get("watch") == "true" else "list")
        else:
            yield Right(group, resource, method.lower())
        if method == "PATCH" and query.get("force") == "true":  # an apply
            yield Right(group, resource, "create")


async def test_the_runtime_asks_for_what_the_list_has() -> None:
    """A pod's life on the double: each right is used, and nothing beside them is."""
    async with cluster() as api, cluster_life(api) as living:
        await living.launch("l1", "listener", command=LISTEN)
        await living.until_ready("l1")
        await living.log("l1")
        await living.end("l1")
        await living.launch("l1", "listener", generation=2, command="echo again")
        await living.until_exited("l1", 2)
        await living.runtime.remove("l1")
        await living.until_gone("l1")
        with trio.fail_after(PATIENCE):
            while not set(asked(api.requests)) >= NEEDED:  # every watch is asked for in its own time
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(set(asked(api.requests)) - NEEDED) == []


@pytest.mark.parametrize(
    ("rule", "grants"),
    [
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]}, True),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, True),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["watch"]}, False),
        ({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["watch"]}, False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}, False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"], "resourceNames": ["one"]}, False),
        ({"verbs": ["watch"]}, False),
    ],
)
def test_what_grants_a_right(rule: dict[str, list[str]], grants: bool) -> None:
    assert missing([rule], [WATCH]) == ([] if grants else [WATCH])


@pytest.mark.parametrize(("resource", "grants"), [("*/log", True), ("*", True), ("pods/log", True), ("pods", False)])
def test_what_grants_a_right_on_a_subresource(resource: str, grants: bool) -> None:
    rule = {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}
    assert missing([rule], [LOG]) == ([] if grants else [LOG])


def test_rules_that_are_written_grant_what_they_are_written_for() -> None:
    rules = rules_for(NEEDED)
    assert missing(rules) == []
    assert missing(rules, OF_OWNERS) == list(OF_OWNERS)
    for left_out in sorted(NEEDED):
        assert missing(rules_for(NEEDED - {left_out})) == [left_out]


def test_a_right_reads_as_people_say_it() -> None:
    assert (str(WATCH), str(Right("apps", "statefulsets", "patch"))) == ("watch pods", "patch statefulsets (apps)")

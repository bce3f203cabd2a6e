"""From what the cluster says to what a runtime tells, as a table."""

from typing import Any

import pytest

from controller.runtimes import Observed, Stage
from controller.runtimes.kubernetes.manifests import GENERATION, HOST, STOPPED, UPSTREAMS
from controller.runtimes.kubernetes.seeing import is_over, see

JSON = dict[str, Any]

MADE, LATER, LATEST = "2026-11-01T10:00:00Z", "2026-11-01T10:00:30Z", "2026-11-01T10:01:00Z"
T0 = 1793527200.0  # MADE in seconds
IMAGE = "docker.io/library/postgres:18"


def stateful_set(replicas: int = 1, generation: int = 3, facts: JSON | None = None) -> JSON:
    annotations = {GENERATION: str(generation), **(facts or {})}
    metadata = {"name": "pg-p1", "uid": "u1", "creationTimestamp": MADE, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def pod(generation: int = 3, address: str = "10.1.2.3", facts: JSON | None = None, **status: Any) -> JSON:
    annotations = {GENERATION: str(generation), UPSTREAMS: '{"": 5432, "/http": 8080}', **(facts or {})}
    metadata = {"name": "pg-p1-0", "uid": "u2", "creationTimestamp": MADE, "annotations": annotations}
    return {"metadata": metadata, "status": {"phase": "Running", "podIP": address, **status}}


def going(thing: JSON, at: str = LATEST, grace: int = 30) -> JSON:
    thing["metadata"] |= {"deletionTimestamp": at, "deletionGracePeriodSeconds": grace}
    return thing


def ready(status: str = "True") -> list[JSON]:
    return [{"type": "Ready", "status": status, "lastTransitionTime": LATER}]


def container(name: str = "pod", **more: Any) -> list[JSON]:
    return [{"name": name, "image": IMAGE, "restartCount": 0, "ready": False, **more}]


def waiting(reason: str, message: str = "") -> JSON:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "", **more: Any) -> JSON:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": LATER, **more}}


def warning(message: str, kind: str = "Pod", uid: str = "u2", at: str = LATER) -> JSON:
    return {"message": message, "involvedObject": {"kind": kind, "name": "n", "uid": uid}, "lastTimestamp": at}


CLAIM: JSON = {"metadata": {"name": "data-pg-p1-0", "creationTimestamp": MADE}}
ADDRESSES = {"": "10.1.2.3:5432", "/http": "10.1.2.3:8080"}


@pytest.mark.parametrize(
    ("found", "its_pod", "claim", "seen"),
    [
        (None, None, None, None),
        (None, None, CLAIM, Observed(Stage.EXITED, 0, T0, message="only its volume is left")),
        (None, pod(), CLAIM, Observed(Stage.STOPPING, 3, T0, message="its StatefulSet is gone")),
        (stateful_set(0, 0), None, None, Observed(Stage.EXITED, 0, T0, message="it was never started")),
        (stateful_set(1), None, None, Observed(Stage.STARTING, 3, T0)),
        (
            stateful_set(0, facts={STOPPED: "12.5"}),
            None,
            CLAIM,
            Observed(Stage.EXITED, 3, 12.5, message="stopped"),
        ),
        (stateful_set(0, facts={STOPPED: "soon"}), None, CLAIM, Observed(Stage.EXITED, 3, T0, message="stopped")),
        (going(stateful_set(0)), None, CLAIM, Observed(Stage.EXITED, 3, T0, message="it is being removed")),
        (going(stateful_set()), pod(conditions=ready()), CLAIM, Observed(Stage.STOPPING, 3, T0)),
        (stateful_set(0), pod(conditions=ready()), CLAIM, Observed(Stage.STOPPING, 3, T0)),
        (stateful_set(0), going(pod(conditions=ready())), CLAIM, Observed(Stage.STOPPING, 3, T0 + 30)),
        (stateful_set(), pod(conditions=ready()), CLAIM, Observed(Stage.READY, 3, T0 + 30, ADDRESSES)),
        (stateful_set(generation=4), pod(conditions=ready()), CLAIM, Observed(Stage.READY, 3, T0 + 30, ADDRESSES)),
        (stateful_set(), pod(conditions=ready("False")), CLAIM, Observed(Stage.STARTING, 3, T0)),
        (stateful_set(), pod(address="", conditions=ready()), CLAIM, Observed(Stage.STARTING, 3, T0)),
        (stateful_set(), pod(facts={UPSTREAMS: "{"}, conditions=ready()), CLAIM, Observed(Stage.STARTING, 3, T0)),
    ],
)
def test_stages(found: JSON | None, its_pod: JSON | None, claim: JSON | None, seen: Observed | None) -> None:
    assert see(found, its_pod, claim) == seen


@pytest.mark.parametrize(
    ("address", "facts", "upstream"),
    [
        ("10.1.2.3", {}, "10.1.2.3:5432"),
        ("fd00::7", {}, "[fd00::7]:5432"),
        ("10.1.2.3", {HOST: "pg-p1.podgate.svc.cluster.local"}, "pg-p1.podgate.svc.cluster.local:5432"),
    ],
)
def test_what_gateways_dial(address: str, facts: JSON, upstream: str) -> None:
    seen = see(stateful_set(), pod(address=address, facts=facts, conditions=ready()), CLAIM)
    assert seen is not None
    assert seen.upstreams[""] == upstream


SCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"phase": "Pending"}, ""),
        (
            {"phase": "Pending", "conditions": [{**SCHEDULED, "message": "0/3 nodes are available: 3 too full."}]},
            "no machine can take it: 0/3 nodes are available: 3 too full.",
        ),
        ({"containerStatuses": container(state=waiting("ContainerCreating"))}, ""),
        ({"containerStatuses": container(state=waiting("PodInitializing"))}, ""),
        (
            {"containerStatuses": container(state=waiting("ImagePullBackOff", "Back-off pulling image: not found"))},
            f"its image {IMAGE} cannot be had: Back-off pulling image: not found",
        ),
        (
            {"initContainerStatuses": container("prepare", state=waiting("ErrImagePull"))},
            f"its image {IMAGE} cannot be had: err image pull",
        ),
        (
            {"containerStatuses": container(state=waiting("CreateContainerConfigError", 'secret "s" not found'))},
            'it cannot be started: secret "s" not found',
        ),
        (
            {
                "containerStatuses": container(
                    state=waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
                )
            },
            (
                "its image wants to run as root, which is not allowed; give it another user: "
                "container has runAsNonRoot and image will run as root"
            ),
        ),
        (
            {"containerStatuses": container(state={"running": {}}, lastState=ended(3, message="first\nno hat\n"))},
            "exit status 3: no hat; it was started again",
        ),
        ({"containerStatuses": container(state=ended(0, "Completed"))}, "exit status 0; it was started again"),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            "evicted: The node was low on resource: memory.; it is started again elsewhere",
        ),
        ({"phase": "Failed"}, "failed; it is started again elsewhere"),
        ({"conditions": ready("Unknown")}, "its machine does not answer"),
        (
            {"initContainerStatuses": container("prepare", state=ended(0, "Completed"), ready=True),
             "containerStatuses": container(state={"running": {}})},
            "",
        ),
    ],
)  # fmt: skip
def test_what_a_pod_waits_for(status: JSON, message: str) -> None:
    assert see(stateful_set(), pod(**status), CLAIM) == Observed(Stage.STARTING, 3, T0, message=message)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (ended(3, message="first\ncannot find my hat\n\n"), "exit status 3: cannot find my hat"),
        (ended(0, "Completed"), "exit status 0"),
        (ended(137), "killed by signal 9"),
        (ended(143, message="bye"), "killed by signal 15: bye"),
        (ended(130, signal=2), "killed by signal 2"),
        (ended(255), "exit status 255"),
        (
            ended(137, "OOMKilled"),
            "it used more memory than it may; give it more with --parameter ram=, or have it use less",
        ),
    ],
)
def test_a_crash_loop_is_an_exit_with_its_last_words(end: JSON, message: str) -> None:
    crashed = pod(containerStatuses=container(state=waiting("CrashLoopBackOff", "back-off 10s"), lastState=end))
    assert is_over(crashed)
    assert see(stateful_set(), crashed, CLAIM) == Observed(Stage.EXITED, 3, T0 + 30, message=message)


def test_a_preparation_that_fails_again_and_again_is_an_exit() -> None:
    status = container("prepare", state=waiting("CrashLoopBackOff"), lastState=ended(1, message="no room"))
    more = container(state=waiting("PodInitializing"))
    seen = see(stateful_set(), pod(initContainerStatuses=status, containerStatuses=more), CLAIM)
    assert seen == Observed(Stage.EXITED, 3, T0 + 30, message="exit status 1: no room")


def test_warnings_are_told_while_nothing_better_is_known() -> None:
    quota = warning('create Pod pg-p1-0 failed: exceeded quota: "most"', "StatefulSet", "u1", at=LATER)
    older = warning("something else", "StatefulSet", "u1", at=MADE)
    seen = see(stateful_set(), None, None, [quota, older])
    assert seen is not None
    assert seen.message == 'create Pod pg-p1-0 failed: exceeded quota: "most"'
    mount = warning("Unable to attach or mount volumes")
    others = warning("of an earlier pod", uid="u0", at=LATEST)
    seen = see(
        stateful_set(), pod(containerStatuses=container(state=waiting("ContainerCreating"))), CLAIM, [mount, others]
    )
    assert seen is not None
    assert seen.message == "Unable to attach or mount volumes"


def test_what_the_cluster_says_is_bounded() -> None:
    long = pod(phase="Pending", conditions=[{**SCHEDULED, "message": "no\n" * 1000}])
    seen = see(stateful_set(), long, CLAIM)
    assert seen is not None
    assert len(seen.message) < 450
    assert "\n" not in seen.message

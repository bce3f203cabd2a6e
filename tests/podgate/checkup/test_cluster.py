"""Looking at a cluster: each thing that can be missing, what is said of it, and what cannot be known."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from controller.runtimes.kubernetes.access import Access, CredentialsFailure
from controller.runtimes.kubernetes.rights import NEEDED, OF_OWNERS, Right, missing
from controller.runtimes.kubernetes.settings import ClusterSettings, Queue
from podgate.checkup.cluster import LONGEST_ANSWER, Checkup
from podgate.checkup.findings import Finding, State
from tests.podgate.checkup.clusters import CLASS, Authority, served

SETTINGS = ClusterSettings(policies_enforced=True)


@pytest.fixture
def api() -> Iterator[Authority]:
    double = Authority()
    with served(double):
        yield double


def looked(api: Authority, settings: ClusterSettings = SETTINGS) -> dict[str, Finding]:
    return {finding.what: finding for finding in Checkup(Access(api.url, verify=False), settings).look()}


def test_a_cluster_that_has_all_is_told_so(api: Authority) -> None:
    found = looked(api)
    assert {finding.state for finding in found.values()} == {State.OK}
    assert list(found) == ["cluster", "namespace", "rights", "storage class", "network policies"]
    assert found["cluster"].found == f"Kubernetes v1.34.2 at {api.url}"
    assert found["storage class"].found == "fast, the cluster's default"


def test_rights_are_asked_all_at_once_where_the_answer_is_complete(api: Authority) -> None:
    looked(api)
    assert {each.rpartition("/")[2] for each in api.requests if each.startswith("POST")} == {"selfsubjectrulesreviews"}


@pytest.mark.parametrize("listing", ["complete", "part", "nothing", "refused"])
@pytest.mark.parametrize("lost", sorted(NEEDED), ids=str)
def test_each_right_that_is_missing_is_told(api: Authority, listing: str, lost: Right) -> None:
    api.listing = listing
    api.rights.discard(lost)
    finding = looked(api)["rights"]
    assert finding.state is State.WRONG
    assert finding.found == f"this account may not, in namespace podgate: {lost}"
    assert f'"resources": ["{lost.resource}"], "verbs": ["{lost.verb}"]' in finding.cure


@pytest.mark.parametrize("listing", ["part", "nothing", "refused"])
def test_rights_are_asked_one_by_one_where_the_list_may_not_be_all(api: Authority, listing: str) -> None:
    api.listing = listing
    assert looked(api)["rights"].state is State.OK
    single = sum(each.endswith("selfsubjectaccessreviews") for each in api.requests)
    assert single == (0 if listing == "part" else len(NEEDED | OF_OWNERS))


def test_rights_of_owners_are_a_question(api: Authority) -> None:
    api.rights -= OF_OWNERS
    finding = looked(api)["rights of owners"]
    assert finding.state is State.UNSURE
    assert "OpenShift" in finding.cure


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ("v1.26.15", State.WRONG),
        ("v1.27.0", State.OK),
        ("v1.34.5+k3s1", State.OK),
        ("v2.0.0", State.OK),
    ],
)
def test_old_clusters_are_told(api: Authority, release: str, state: State) -> None:
    api.release = release
    assert looked(api)["cluster"].state is state


def test_a_namespace_that_is_not_there(api: Authority) -> None:
    del api.there["/api/v1/namespaces/podgate"]
    finding = looked(api)["namespace"]
    assert (finding.state, finding.cure) == (State.WRONG, "make it: kubectl create namespace podgate")


def test_what_an_account_of_least_privilege_cannot_see_is_unknown_and_no_failure(api: Authority) -> None:
    api.forbidden = ("/api/v1/", "/apis/storage.k8s.io", "/apis/node.k8s.io")
    settings = ClusterSettings(pull_secrets=("registry",), queues={"gpu": Queue(runtime_class="nvidia")})
    found = looked(api, settings)
    unknown = {"namespace", "storage class", "runtime class", "pull secret", "network policies"}
    assert {what for what, finding in found.items() if finding.state is State.UNSURE} == unknown
    assert all(found[what].cure for what in unknown)
    assert found["rights"].state is State.OK


def test_a_cluster_without_a_default_storage_class(api: Authority) -> None:
    api.there[CLASS] = {"items": [{"metadata": {"name": "slow"}}]}
    finding = looked(api)["storage class"]
    assert (finding.state, finding.found) == (State.WRONG, "the cluster has no default one; there are: slow")
    assert looked(api, ClusterSettings(storage_class="fast"))["storage class"].state is State.OK
    assert looked(api, ClusterSettings(storage_class="quick"))["storage class"].state is State.WRONG


def test_runtime_classes_of_queues_are_looked_for(api: Authority) -> None:
    settings = ClusterSettings(queues={"safe": Queue(runtime_class="gvisor"), "any": Queue()})
    finding = looked(api, settings)["runtime class"]
    assert (finding.state, finding.found) == (State.WRONG, "there is no runtime class gvisor")
    api.there["/apis/node.k8s.io/v1/runtimeclasses/gvisor"] = {}
    assert looked(api, settings)["runtime class"].state is State.OK


def test_pull_secrets_are_looked_for_and_never_read(api: Authority) -> None:
    settings = ClusterSettings(pull_secrets=("registry",))
    assert looked(api, settings)["pull secret"].state is State.WRONG
    api.there["/api/v1/namespaces/podgate/secrets/registry"] = {}
    assert looked(api, settings)["pull secret"].state is State.OK
    assert all("PartialObjectMetadata" in accepted for accepted in api.accepted)
    assert len(api.accepted) == 2


def test_whether_policies_are_heeded_is_never_claimed(api: Authority) -> None:
    assert "no API tells" in looked(api)["network policies"].found
    finding = looked(api, ClusterSettings())["network policies"]
    assert (finding.state, "install-kubernetes.md" in finding.cure) == (State.UNSURE, True)


@pytest.mark.parametrize(("late", "told"), [(120, "s ahead of the cluster's"), (-300, "s behind the cluster's")])
def test_clocks_that_differ_are_told(api: Authority, late: float, told: str) -> None:
    api.late = timedelta(seconds=late)
    finding = looked(api)["clocks"]
    assert finding.state is State.WRONG
    assert told in finding.found


def test_an_account_that_is_not_known(api: Authority) -> None:
    api.status = 401
    assert looked(api) == {"cluster": looked(api)["cluster"]}
    assert looked(api)["cluster"].found == f"{api.url} does not know us"


def test_a_version_that_is_not_told_is_no_failure(api: Authority) -> None:
    api.status = 403
    assert looked(api)["cluster"].state is State.UNSURE
    assert looked(api)["rights"].state is State.OK


def test_a_cluster_out_of_reach_is_one_sentence() -> None:
    found = list(Checkup(Access("http://127.0.0.1:1", verify=False), SETTINGS).look())
    assert [(each.what, each.state) for each in found] == [("cluster", State.WRONG)]
    assert "http://127.0.0.1:1 cannot be reached: " in found[0].found


def test_credentials_that_cannot_be_had_are_one_sentence(api: Authority) -> None:
    async def headers() -> dict[str, str]:
        raise CredentialsFailure("the program ended")

    (found,) = Checkup(Access(api.url, verify=False, headers=headers), SETTINGS).look()
    assert found.found == f"the credentials for {api.url} cannot be had: the program ended"


def test_an_endless_answer_is_not_read_for_ever(api: Authority) -> None:
    api.padding = b" " * LONGEST_ANSWER
    assert looked(api)["cluster"].found == f"an answer is longer than {LONGEST_ANSWER} bytes"


def test_the_rules_it_says_to_add_are_all_that_is_missing(api: Authority) -> None:
    import json

    api.rights.clear()
    told = looked(api)["rights"].cure.partition(": ")[2]
    assert missing(json.loads(told)) == []

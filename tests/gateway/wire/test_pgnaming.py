import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.pgnaming import Named, name_the_pod, split_user
from gateway.wire.postgres import Startup
from gateway.wire.verdict import Malformed
from tests.fuzz.pginvariants import check_naming


def named(options: str = "", user: str = "alice") -> Named:
    parameters = {"user": user, "database": "shop"} | ({"options": options} if options else {})
    return name_the_pod(Startup((3, 0), parameters, 0))


def by_options(options: str) -> tuple[str, str | None]:
    """Give the pod and what is left of the options."""
    found = named(options)
    assert {name: text for name, text in found.parameters.items() if name != "options"} == {
        "user": "alice", "database": "shop",
    }  # fmt: skip
    return found.pod, found.parameters.get("options")


@pytest.mark.parametrize(
    ("options", "pod", "left"),
    [
        ("-c podgate.pod=mydb", "mydb", None),
        ("-cpodgate.pod=mydb", "mydb", None),
        ("--podgate.pod=mydb", "mydb", None),
        ("endpoint=mydb", "mydb", None),
        ("  -c\t\n podgate.pod=mydb  ", "mydb", None),
        ("-c PodGate.Pod=mydb", "mydb", None),
        ("-c podgate.pod=mydb.pods.test", "mydb.pods.test", None),
        ("-c geqo=off  -c podgate.pod=mydb", "mydb", "-c geqo=off"),
        ("-c podgate.pod=mydb  -c geqo=off", "mydb", "-c geqo=off"),
        (" -c  geqo=off   -c   podgate.pod=mydb   --jit=off ", "mydb", " -c  geqo=off   --jit=off "),
        ("--podgate.pod=mydb endpointless", "mydb", "endpointless"),
        (r"-c search_path=a\ -c\ podgate.pod=other -c podgate.pod=mydb", "mydb",
         r"-c search_path=a\ -c\ podgate.pod=other"),
        (r"-c application_name=a\  -c podgate.pod=mydb", "mydb", r"-c application_name=a\ "),
        (r"-c podgate.pod=mydb -c a=\\ -c b=\q\ ", "mydb", r"-c a=\\ -c b=\q\ "),
        (r"\-\c pod\gate.pod=my\db", "mydb", None),
        ("-c podgate.pod=mydb\\", "mydb", None),
        (r"-c podgate.pod=my\ db", "my db", None),
        ("-c podgate.pod=a=b", "a=b", None),
        ("-c podgate.pod=mydb \\", "mydb", "\\"),
        ("-c podgate.pod=\udce9", "\udce9", None),
        # what does not name a pod
        ("-c geqo=off", "", "-c geqo=off"),
        ("  -c geqo=off\\", "", "  -c geqo=off\\"),
        (" ", "", " "),
        ("-c", "", "-c"),
        ("podgate.pod=mydb", "", "podgate.pod=mydb"),
        ("-cendpoint=mydb", "", "-cendpoint=mydb"),
        ("-c endpoint=mydb", "", "-c endpoint=mydb"),
        ("-c -c podgate.pod=mydb", "", "-c -c podgate.pod=mydb"),
        ("--podgate.pods=mydb", "", "--podgate.pods=mydb"),
        ("endpoint%3Dmydb", "", "endpoint%3Dmydb"),
        ("ENDPOINT=mydb", "", "ENDPOINT=mydb"),
        (r"-c\ podgate.pod=mydb", "", r"-c\ podgate.pod=mydb"),
        ("-c\u00a0podgate.pod=mydb", "", "-c\u00a0podgate.pod=mydb"),  # a space to Unicode, and not to C
    ],
)  # fmt: skip
def test_pods_in_options(options: str, pod: str, left: str | None) -> None:
    assert by_options(options) == (pod, left)


@pytest.mark.parametrize(
    ("user", "pod", "left"),
    [
        ("alice@mydb", "mydb", "alice"),
        ("alice@corp.test@mydb", "mydb", "alice@corp.test"),
        ("alice+password@mydb", "mydb", "alice+password"),
        ("@mydb", "mydb", ""),
        ("alice", "", "alice"),
        ("", "", ""),
    ],
)
def test_pods_behind_users(user: str, pod: str, left: str) -> None:
    found = named(user=user)
    assert (found.pod, found.parameters) == (pod, {"user": left, "database": "shop"})


def test_a_client_that_says_nothing() -> None:
    assert name_the_pod(Startup((3, 0), {}, 9)) == Named("", {})


@pytest.mark.parametrize(
    ("options", "user", "text"),
    [
        ("-c podgate.pod=a -c podgate.pod=b", "alice", "startup: names the pod 2 times, expected once"),
        ("-c podgate.pod=a --podgate.pod=a endpoint=a", "alice", "startup: names the pod 3 times, expected once"),
        ("endpoint=a", "alice@b", "startup: names the pod 2 times, expected once"),
        ("endpoint=a", "alice@a", "startup: names the pod 2 times, expected once"),
        ("-c podgate.pod=", "alice", "startup: names a pod without a name"),
        ("-c podgate.pod", "alice", "startup: names a pod without a name"),
        ("--podgate.pod", "alice", "startup: names a pod without a name"),
        ("endpoint=", "alice", "startup: names a pod without a name"),
        ("", "alice@", "startup: names a pod without a name"),
    ],
)
def test_names_that_are_none(options: str, user: str, text: str) -> None:
    with pytest.raises(Malformed) as raised:
        named(options, user)
    assert str(raised.value) == text


PIECES = st.sampled_from(
    ["-c", " ", "  ", "\\", "podgate.pod=", "a", "--", "endpoint=", "=", "\n", "x=1", "-c podgate.pod=p"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_the_other_words_stay_words(options: str) -> None:
    check_naming(Startup((3, 0), {"user": "alice", "options": options}, 10_000))


@pytest.mark.parametrize(
    ("text", "name", "asks"),
    [
        ("alice", "alice", False),
        ("alice+password", "alice", True),
        ("alice+password+password", "alice+password", True),
        ("+password", "", True),
        ("password", "password", False),
        ("alice+PASSWORD", "alice+PASSWORD", False),
        ("alice+password ", "alice+password ", False),
        ("", "", False),
    ],
)
def test_users_who_ask_for_a_password(text: str, name: str, asks: bool) -> None:
    assert split_user(text) == (name, asks)

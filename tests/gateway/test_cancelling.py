"""Sessions: keys, and what becomes of the cancels of one worker."""

import queue
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from gateway import cancelling
from gateway.asking import Document, Questions
from gateway.cancelling import BURST, LAST_SLOT, LONG, Owner, Session, Sessions, from_document, owner_of, to_document
from gateway.errors import Refusal
from gateway.loop import Loop
from gateway.wire.pgmessage import CancelKey, cancel_request
from gateway.wire.postgres import CancelRequest
from router.routedocument import parse_address
from tests.clock import Clock
from tests.gateway.databases import Database, database
from tests.gateway.driving import drive
from tests.peers import DEADLINE, free_port

HOST, CLIENT = "db.pods.test", "192.0.2.1"
REAL = CancelKey(1000, b"real")
Spawn = Callable[[Coroutine[Any, Any, None]], Future[None]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(replica=5, worker=200, steady=clock)


@pytest.fixture
def real() -> Iterator[Database]:
    with database() as served:
        yield served


def enter(sessions: Sessions, real: Database, *, long: bool = False) -> Session:
    return sessions.enter(HOST, parse_address(real.address), real.key(0), long=long)


def wish(sessions: Sessions, key: CancelKey, ip: str = CLIENT, host: str | None = None) -> Coroutine[Any, Any, None]:
    return sessions.cancel(CancelRequest(key.process_id, key.secret, 12 + len(key.secret)), ip, host)


def cancel(sessions: Sessions, key: CancelKey, ip: str = CLIENT, host: str | None = None) -> None:
    drive(wish(sessions, key, ip, host))


async def tell(questions: Questions, answer: Document) -> None:
    questions.answer(answer)


async def end(questions: Questions) -> None:
    questions.end()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Runs what a test spawns in a loop that goes on."""
    loop = Loop()
    thread = loop.start()

    def spawn(coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        done: Future[None] = Future()

        async def run() -> None:
            try:
                await coroutine
                done.set_result(None)
            except Exception as error:
                done.set_exception(error)
                raise

        loop.call(lambda: loop.spawn(run()))
        return done

    yield spawn
    loop.stop()
    thread.join(DEADLINE)


def wrong(key: CancelKey) -> CancelKey:
    return CancelKey(key.process_id, key.secret[:-1] + bytes((key.secret[-1] ^ 1,)))


@pytest.mark.parametrize("owner", [Owner(0, 0, 1), Owner(63, 255, LAST_SLOT), Owner(5, 200, 77)])
def test_a_key_names_its_owner(owner: Owner) -> None:
    number = owner.to_number()
    assert 0 < number < 2**31
    assert owner_of(CancelKey(number, bytes(4))) == owner
    assert owner_of(CancelKey(4711, number.to_bytes(4, "big") + bytes(28))) == owner


@pytest.mark.parametrize(
    "key",
    [
        CancelKey(0, bytes(4)),
        CancelKey(-1, bytes(4)),
        CancelKey(-(2**31), bytes(4)),
        CancelKey(1 << 17, bytes(4)),  # slot 0
        CancelKey(1, bytes(5)),
        CancelKey(1, bytes(31)),
        CancelKey(1, bytes(32)),
        CancelKey(1, b"\xff" * 32),
        CancelKey(1, bytes(33)),
        CancelKey(1, bytes(256)),
        CancelKey(1, b""),
    ],
)
def test_a_key_that_is_not_of_our_making_names_nobody(key: CancelKey) -> None:
    assert owner_of(key) is None


def test_a_key_of_3_0_hides_the_real_one_and_one_of_3_2_keeps_the_process_id(
    sessions: Sessions, real: Database
) -> None:
    short, long = enter(sessions, real).key, enter(sessions, real, long=True).key
    assert owner_of(short) == Owner(5, 200, 1)
    assert owner_of(long) == Owner(5, 200, 2)
    assert len(short.secret) == 4
    assert (long.process_id, len(long.secret)) == (1000, LONG)
    assert b"real" not in short.secret + long.secret


@pytest.mark.parametrize("long", [False, True])
def test_the_right_key_brings_the_database_its_own(sessions: Sessions, real: Database, long: bool) -> None:
    cancel(sessions, enter(sessions, real, long=long).key)
    assert real.cancelled() == cancel_request(REAL)


def test_a_long_key_of_the_database_is_passed_on_whole(sessions: Sessions) -> None:
    with database(bytes(range(256))) as real:
        cancel(sessions, enter(sessions, real).key)
        assert real.cancelled() == cancel_request(CancelKey(1000, bytes(range(256))))


@pytest.mark.parametrize("long", [False, True])
def test_a_wrong_key_does_nothing(sessions: Sessions, real: Database, long: bool) -> None:
    session = enter(sessions, real, long=long)
    other = enter(sessions, real, long=long).key
    cancel(sessions, wrong(session.key))
    cancel(sessions, CancelKey(session.key.process_id, other.secret))
    cancel(sessions, CancelKey(session.key.process_id + 1, session.key.secret))
    assert real.cancels.qsize() == (1 if long else 0)  # the second is, in 3.2, just the key of the other
    cancel(sessions, session.key)
    real.cancelled()


def test_the_name_it_came_by_has_to_be_that_of_the_session(sessions: Sessions, real: Database) -> None:
    key = enter(sessions, real).key
    cancel(sessions, key, host="other.pods.test")
    assert real.cancels.empty()
    cancel(sessions, key, host=HOST)
    real.cancelled()


def test_a_stale_key_does_nothing_and_a_slot_used_again_has_another(
    sessions: Sessions, real: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "LAST_SLOT", 3)
    kept, ended, also_kept = enter(sessions, real), enter(sessions, real), enter(sessions, real)
    ended.end()
    cancel(sessions, ended.key)
    again = enter(sessions, real)
    assert again.key.process_id == ended.key.process_id
    ended.end()  # of its slot no more
    cancel(sessions, ended.key)
    assert real.cancels.empty()
    for session in (again, kept, also_kept):
        cancel(sessions, session.key)
        real.cancelled()
    assert len(sessions) == 3
    with pytest.raises(Refusal, match="holds 3 sessions already"):
        enter(sessions, real)


def test_a_slot_is_used_again_as_late_as_can_be(sessions: Sessions, real: Database) -> None:
    numbers = []
    for _ in range(3):
        session = enter(sessions, real)
        session.end()
        numbers.append(session.key.process_id & LAST_SLOT)
    assert numbers == [1, 2, 3]


def test_wrong_keys_of_an_address_are_not_looked_at_any_more_after_some(
    sessions: Sessions, real: Database, clock: Clock
) -> None:
    key = enter(sessions, real).key
    for _ in range(BURST):
        cancel(sessions, wrong(key), "2001:db8::1")
    cancel(sessions, key, "2001:db8::2")  # of the same /64: not even the right one is looked at
    assert real.cancels.empty()
    cancel(sessions, key, "2001:db8:0:1::1")
    real.cancelled()
    clock.now += 1.0
    cancel(sessions, key, "2001:db8::2")
    real.cancelled()


def test_right_keys_are_not_counted(sessions: Sessions, real: Database) -> None:
    key = enter(sessions, real).key
    for _ in range(3 * BURST):
        cancel(sessions, key)
        real.cancelled()


def test_wrong_ones_under_way_together_are_owed(clock: Clock, real: Database, spawn: Spawn) -> None:
    """Those that others judge are let go before it is known that they are wrong: they delay what comes then."""
    asked: queue.Queue[Document] = queue.Queue()
    questions = Questions(asked.put)
    sessions = Sessions(1, 1, questions, clock)
    foreign = CancelKey(Owner(1, 2, 3).to_number(), b"none")
    under_way = [spawn(wish(sessions, foreign)) for _ in range(40)]
    for _ in under_way:
        question = asked.get(timeout=DEADLINE)
        spawn(tell(questions, {"id": question["id"], "right": False}))
    for done in under_way:
        done.result(DEADLINE)
    key = enter(sessions, real).key
    clock.now += 40 - BURST - 2
    cancel(sessions, key)
    assert real.cancels.empty()
    clock.now += 3
    cancel(sessions, key)
    real.cancelled()


def test_when_the_supervisor_ends_nobody_waits_for_its_answers(clock: Clock, spawn: Spawn) -> None:
    asked: queue.Queue[Document] = queue.Queue()
    questions = Questions(asked.put)
    sessions = Sessions(1, 1, questions, clock)
    foreign = CancelKey(Owner(1, 2, 3).to_number(), b"none")
    under_way = spawn(wish(sessions, foreign))
    asked.get(timeout=DEADLINE)
    spawn(end(questions))
    under_way.result(1)
    spawn(wish(sessions, foreign)).result(1)


def test_it_is_done_when_the_database_is(sessions: Sessions, spawn: Spawn) -> None:
    with database(is_slow=True) as real:
        done = spawn(wish(sessions, enter(sessions, real).key))
        real.cancelled()
        assert not done.done()
        real.release.set()
        done.result(DEADLINE)


def test_a_database_that_takes_no_cancel_is_given_up(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cancelling, "DELIVERY", 0.05)
    with database(is_slow=True) as real:
        cancel(sessions, enter(sessions, real).key)
        assert "did not take a cancel: not done within 0.05 s" in caplog.text


def test_a_database_that_is_gone_is_no_fault_of_the_client(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Database(address=f"127.0.0.1:{free_port()}")
    key = enter(sessions, gone).key
    for _ in range(2 * BURST):
        cancel(sessions, key)
    assert caplog.text.count("did not take a cancel") == 2 * BURST


def test_more_than_some_at_once_for_one_host_are_dropped(
    sessions: Sessions, spawn: Spawn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cancelling, "MOST_OF_ONE", 1)
    with database(is_slow=True) as real:
        key = enter(sessions, real).key
        held = spawn(wish(sessions, key))
        real.cancelled()
        spawn(wish(sessions, key, "192.0.2.2")).result(DEADLINE)
        assert real.cancels.empty()
        assert "more than 1 cancels for db.pods.test under way" in caplog.text
        real.release.set()
        held.result(DEADLINE)
        cancel(sessions, key)
        real.cancelled()


def test_without_a_supervisor_what_is_not_ours_is_dropped(sessions: Sessions, real: Database) -> None:
    mine = enter(sessions, real).key
    cancel(sessions, CancelKey(mine.process_id ^ 1 << 17, mine.secret))
    cancel(sessions, CancelKey(mine.process_id ^ 1 << 25, mine.secret))
    assert real.cancels.empty()


@pytest.mark.parametrize("host", [None, HOST])
def test_a_key_travels_as_a_document(host: str | None) -> None:
    key = CancelKey(-5, bytes(range(32)))
    assert from_document(to_document(key, host)) == (key, host)

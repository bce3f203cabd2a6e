"""People with a clock of the test's: sign-ins, keys, links and tokens until they are over, and races."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio

from controller.desk import Desk
from controller.feed import Feed
from controller.identity import By, Conflict, NotRedeemable, Redeemed, Throttled, UnknownPerson
from controller.model import Pod, Want
from controller.names import new_key
from controller.people import People
from controller.pods import Pods
from controller.publish import grants_of
from controller.pulse import Pulse
from controller.settings import Oidc, Settings
from controller.signins import MOST_SIGN_INS, ROTATED_EVERY
from controller.store.store import Store
from controller.throttle import FREE_FAILURES
from controller.tokens import NewToken, verifier_of
from router.access import AccessLevel
from router.credentials import SALTS_KEY, Credentials, Issuer
from router.snapshot import Routes, advance, snapshot_document

HOUR = 3600.0
ISSUER = "https://id.example.org"
BY = By("admin")


@dataclass
class Life:
    """The people of one life of a controller; `at` is what its clock says."""

    store: Store
    settings: Settings
    at: float = 1_800_000_000.0
    people: People = field(init=False)
    pods: Pods = field(init=False)
    feed: Feed = field(init=False)

    def __post_init__(self) -> None:
        desk = Desk(self.store)
        self.feed = Feed(Pulse())
        self.pods = Pods(desk, Pulse(), lambda: self.at)
        self.people = People(desk, self.pods, self.feed, self.settings, lambda: self.at)

    async def load(self) -> "Life":
        await self.pods.load()
        await self.people.load()
        return self

    async def again(self) -> "Life":
        """Begin another life on the same store, at the same time."""
        return await Life(self.store, self.settings, self.at).load()

    @property
    def published(self) -> Credentials:
        records = [record for records in self.feed._records.values() for record in records.values()]
        return advance(Routes(), snapshot_document(self.feed.version, (), (), records)).credentials

    async def pod(self, name: str = "mydb") -> Pod:
        return await self.pods.create(Pod(0, new_key(name), name, "db", AccessLevel.OWNER, 0.0))

    async def link(self, pod: Pod, expires_in: float = HOUR, uses: int | None = None, password: str = "") -> str:
        made = await self.people.sharing.make_link(
            pod.key, AccessLevel.READ, expires_in=expires_in, uses=uses, password=password,
            held=lambda _pod: AccessLevel.OWNER, by=BY,
        )  # fmt: skip
        return made.secret

    async def token(self, expires_in: float | None = None) -> NewToken:
        return await self.people.tokens.create("alice", f"t{self.at}", expires_in=expires_in, by=BY)


@asynccontextmanager
async def living(path: Path, oidc: Oidc | None = None) -> AsyncIterator[Life]:
    settings = Settings(path, "pods.localhost", "127.0.0.1", 8443, path / "ca.pem", oidc=oidc)
    with Store(path / "controller.sqlite") as store:
        life = await Life(store, settings).load()
        await life.people.create("alice", password="correct horse")
        yield life


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with living(tmp_path) as opened:
        yield opened


async def test_a_sign_in_lasts_its_hours_and_no_longer_than_the_settings_say(life: Life) -> None:
    alice = life.people.named("alice")
    short = await life.people.begin_session(alice, address="192.0.2.1", agent="x", hours=1)
    long = await life.people.begin_session(alice, address="192.0.2.1", agent="x" * 1000, hours=100)
    assert len(long.agent) < 1000
    life.at += 2 * HOUR
    assert (life.people.session(short.id), life.people.session(long.id)) == (None, long)
    assert (await life.again()).people.session(long.id) == long
    life.at += 11 * HOUR
    assert life.people.session(long.id) is None
    assert life.people.session("none") is None


async def test_an_ended_sign_in_is_published_until_its_sessions_would_have_ended(life: Life) -> None:
    sign_in = await life.people.begin_session(life.people.named("alice"), address="", agent="")
    await life.people.end_session(sign_in.id)
    await life.people.end_session(sign_in.id)
    assert life.people.session(sign_in.id) is None
    assert life.published.ended(sign_in.id)
    assert (await life.again()).published.ended(sign_in.id)
    life.at = sign_in.expires
    await life.people.sweep()
    assert life.published.ended(sign_in.id), "clocks differ"
    life.at += 61
    await life.people.sweep()
    assert not life.published.ended(sign_in.id)
    assert not (await life.again()).published.ended(sign_in.id)


async def test_signing_out_everywhere_voids_what_was_and_not_what_comes_even_in_the_same_moment(life: Life) -> None:
    alice = life.people.named("alice")
    first = await life.people.begin_session(alice, address="", agent="")
    await life.people.end_sessions("alice")
    second = await life.people.begin_session(alice, address="", agent="")
    assert (life.people.session(first.id), life.people.session(second.id)) == (None, second)
    user = life.published.user("alice")
    assert user is not None
    assert first.began <= user.since < second.began
    life.at -= 1000  # a clock that was set back
    await life.people.end_sessions("alice")
    assert life.people.session(second.id) is None


@pytest.mark.parametrize("password", [True, False])
async def test_a_disabled_user_or_a_new_password_ends_sign_ins(life: Life, password: bool) -> None:
    sign_in = await life.people.begin_session(life.people.named("alice"), address="", agent="")
    if password:
        await life.people.set_password("alice", "another password")
    else:
        await life.people.disable("alice")
        assert life.people.session(sign_in.id) is None
        await life.people.enable("alice")
    assert life.people.session(sign_in.id) is None


async def test_sign_ins_of_one_user_are_bounded(life: Life) -> None:
    alice = life.people.named("alice")
    all_ = [await life.people.begin_session(alice, address="", agent="") for _ in range(3)]
    life.at += 1
    all_ += [await life.people.begin_session(alice, address="", agent="") for _ in range(MOST_SIGN_INS)]
    valid = [sign_in.id for sign_in in all_ if life.people.session(sign_in.id)]
    assert valid == [sign_in.id for sign_in in all_[3:]]
    assert life.published.ended(all_[0].id)


async def test_keys_are_rotated_and_old_ones_open_as_long_as_their_sessions_last(life: Life) -> None:
    first = life.people.key()
    life.at += ROTATED_EVERY - 1
    await life.people.sweep()
    assert life.people.key() == first
    life.at += 1
    await life.people.sweep()
    second = life.people.key()
    assert life.published.newest_key == second.id != first.id
    assert life.people.keys() == {first.id: first.secret, second.id: second.secret}
    salts = life.published.keys[SALTS_KEY]
    assert life.published.keys == {SALTS_KEY: salts, **life.people.keys()}
    life.at += 12 * HOUR + 61
    await life.people.sweep()
    assert list(life.people.keys()) == [second.id]
    again = await life.again()
    assert again.people.key() == second
    assert again.published.keys == {SALTS_KEY: salts, second.id: second.secret} == life.published.keys


async def test_tokens_are_over_for_us_at_once_and_soon_for_the_store(life: Life) -> None:
    lasting = await life.token()
    life.at += 1
    short = await life.token(expires_in=60)
    principal = life.people.principal(short.text)
    assert principal is not None
    assert (principal.user, principal.credential) == ("alice", f"token:{short.kept.id}")
    life.at += 60
    assert life.people.principal(short.text) is None
    assert life.people.principal(lasting.text) is not None
    await life.people.sweep()
    assert [token.id for token in life.published.tokens.values()] == [lasting.kept.id]
    assert [token.id for token in (await life.again()).people.tokens.of("alice")] == [lasting.kept.id]
    assert life.people.principal("") is None
    assert life.people.principal("pgt_\ud800") is None


async def test_a_token_is_kept_as_a_verifier_under_the_salt_of_its_user(life: Life) -> None:
    token = await life.token()
    assert token.kept.verifier == verifier_of(token.text, life.people.named("alice").salt)
    assert token.text not in repr(token)
    assert token.kept.hash not in repr(token)


async def test_of_two_who_redeem_the_last_use_one_is_let_in(life: Life) -> None:
    secret = await life.link(await life.pod(), uses=1)
    outcomes: list[Redeemed | str] = []

    async def redeem() -> None:
        try:
            outcomes.append(await life.people.redeem(secret, ""))
        except NotRedeemable as refused:
            outcomes.append(refused.reason)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(redeem)
    assert sorted(str(outcome) for outcome in outcomes if isinstance(outcome, str)) == ["used up"] * 9
    (pod,) = life.pods
    assert (pod.links[0].uses_left, len(grants_of(pod))) == (0, 2), "who used it stays"
    assert life.people.peek_link(secret) is None
    assert (await life.again()).pods.named("mydb").links == pod.links


async def test_a_link_with_a_password(life: Life) -> None:
    pod = await life.pod()
    secret = await life.link(pod, expires_in=100 * HOUR, uses=50, password="open sesame")
    info = life.people.peek_link(secret)
    assert info is not None
    assert (info.pod, info.level, info.needs_password) == ("mydb", AccessLevel.READ, True)
    redeemed = await life.people.redeem(secret, "open sesame")
    assert (redeemed.pod, redeemed.key, redeemed.expires) == ("mydb", pod.key, life.at + 12 * HOUR)
    for number in range(FREE_FAILURES + 2):
        with pytest.raises(NotRedeemable) as caught:
            await life.people.redeem(secret, "open barley", address=f"192.0.2.{number}")
        throttled = number >= FREE_FAILURES
        assert caught.value.reason == ("throttled" if throttled else "wrong password")
        assert (caught.value.retry_after >= 1) == throttled
    assert life.pods.named("mydb").links[0].uses_left == 49


@pytest.mark.parametrize("how", ["expired", "swept", "removed", "deleted", "gone", "other"])
async def test_links_that_lead_nowhere(life: Life, how: str) -> None:
    pod = await life.pod()
    secret = await life.link(pod)
    if how in ("expired", "swept"):
        life.at += HOUR
    if how == "swept":
        await life.people.sweep()
        assert life.pods.named("mydb").links == ()
        assert (await life.again()).pods.named("mydb").links == ()
    if how == "removed":
        id_ = life.pods.named("mydb").links[0].id
        await life.people.sharing.remove_link(pod.key, id_, held=lambda _pod: AccessLevel.OWNER, by=BY)
    if how == "deleted":
        await life.pods.change("mydb", lambda pod: replace(pod, want=Want.DELETED), "delete")
    if how == "gone":
        await life.pods.forget(pod.key)
    if how == "other":
        secret = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with pytest.raises(NotRedeemable, match="expired" if how == "expired" else "unknown"):
        await life.people.redeem(secret, "")
    assert life.people.peek_link(secret) is None


async def test_passwords(life: Life) -> None:
    people = life.people
    assert await people.check_password("alice", "correct horse") == people.find("alice")
    assert await people.check_password("alice", "wrong") is None
    assert await people.check_password("nobody", "correct horse") is None
    assert await people.check_password("admin", "") is None
    assert await people.check_password("alice", "\ud800") is None
    await people.disable("alice")
    assert await people.check_password("alice", "correct horse") is None


async def test_many_guesses_at_once_gain_nothing(life: Life) -> None:
    looked_at: list[None] = []

    async def guess() -> None:
        try:
            await life.people.check_password("alice", "wrong", address="192.0.2.1")
            looked_at.append(None)
        except Throttled:
            pass

    async with trio.open_nursery() as nursery:
        for _ in range(3 * FREE_FAILURES):
            nursery.start_soon(guess)
    assert len(looked_at) == FREE_FAILURES


async def test_nobody_takes_over_a_user_by_an_equal_name_or_address(tmp_path: Path) -> None:
    async with living(tmp_path, Oidc(ISSUER, "podgate", create=True)) as life:
        claims = {"preferred_username": "alice", "email": "alice@example.org"}
        made = await life.people.person_of_subject(ISSUER, "1", claims)
        assert not made.may_make_pods
        assert made.name == "alice-2"
        assert not made.admin
        assert not made.has_password
        assert await life.people.person_of_subject(ISSUER, "1", {"preferred_username": "admin"}) == made
        assert (await life.people.person_of_subject(ISSUER, "2", claims)).name == "alice-3"
        assert (await life.people.person_of_subject(ISSUER, "3", {})).name == "user"
        with pytest.raises(UnknownPerson):
            await life.people.person_of_subject("https://other.example.org", "1", claims)
        assert (await (await life.again()).people.person_of_subject(ISSUER, "1", claims)).name == "alice-2"
        await life.people.disable("alice-2")
        with pytest.raises(Conflict, match="disabled"):
            await life.people.person_of_subject(ISSUER, "1", claims)


async def test_nobody_is_made_unless_the_settings_say_so(tmp_path: Path) -> None:
    async with living(tmp_path, Oidc(ISSUER, "podgate")) as life:
        with pytest.raises(UnknownPerson):
            await life.people.person_of_subject(ISSUER, "1", {"preferred_username": "bob"})
        assert life.people.find("bob") is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "Bob.Smith"}, "bob.smith"),
        ({"preferred_username": "Jürgen Groß"}, "jurgen-gro"),
        ({"preferred_username": "bob@example.org"}, "bob"),
        ({"preferred_username": "...", "email": "bob@example.org"}, "bob"),
        ({"preferred_username": 7, "email": ["x"]}, "user"),
        ({"preferred_username": "\ud800", "email": "\ud800x@example.org"}, "x"),
        ({"preferred_username": "everyone"}, "user"),
        ({"preferred_username": "a\r\nX-Podgate-User: admin"}, "a-x-podgate-user-admin"),
        ({"preferred_username": "b" * 500}, "b" * 48),
    ],
)
async def test_names_made_from_what_a_provider_says(tmp_path: Path, claims: dict[str, object], name: str) -> None:
    async with living(tmp_path, Oidc(ISSUER, "podgate", create=True)) as life:
        assert (await life.people.person_of_subject(ISSUER, "1", claims)).name == name


async def test_an_issuer_is_published_with_who_is_who_there(tmp_path: Path) -> None:
    async with living(tmp_path, Oidc(ISSUER, "podgate", create=True)) as life:
        life.people.put_issuer(Issuer(ISSUER, "podgate", ({"kid": "1"},)))
        await life.people.person_of_subject(ISSUER, "7", {"preferred_username": "bob"})
        assert life.published.issuers[ISSUER].users == {"7": "bob"}
        await life.people.disable("bob")
        assert life.published.issuers[ISSUER].users == {}
        life.people.put_issuer(Issuer(ISSUER, "podgate", ({"kid": "2"},)))
        await life.people.enable("bob")
        assert life.published.issuers[ISSUER].users == {"7": "bob"}
        assert life.published.issuers[ISSUER].keys == ({"kid": "2"},)
        await life.people.delete("bob")
        assert life.published.issuers[ISSUER].users == {}


async def test_a_user_is_not_deleted_while_a_pod_becomes_theirs(life: Life) -> None:
    pod = await life.pod()
    outcomes: list[str] = []

    async def give() -> None:
        try:
            await life.people.sharing.give(pod.key, "alice", held=lambda _pod: AccessLevel.OWNER, by=BY)
            outcomes.append("given")
        except Conflict:
            outcomes.append("not given")

    async def delete() -> None:
        try:
            await life.people.delete("alice")
            outcomes.append("deleted")
        except Conflict:
            outcomes.append("not deleted")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give)
        nursery.start_soon(delete)
    assert sorted(outcomes) in (["given", "not deleted"], ["deleted", "not given"])
    assert life.people.find(life.pods.named("mydb").owner) is not None

"""Hypothesis strategies for all credentials."""

from hypothesis import strategies as st

from router.access import AccessLevel
from router.credentials import Ended, Issuer, Key, Token, User

names = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", fullmatch=True).filter(lambda name: name != "everyone")
ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
times = st.floats(-(2.0**52), 2.0**52)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
records = st.one_of(
    st.builds(User, names, st.frozensets(names, max_size=3), times),
    st.builds(Token, ids, hashes, names, ids | st.just(""), st.sampled_from(AccessLevel), st.none() | times, st.text()),
    st.builds(Key, ids.filter(lambda text: len(text) <= 32), st.binary(min_size=32, max_size=64)),
    st.builds(Ended, ids, times),
    st.builds(
        Issuer,
        st.text(min_size=1),
        st.text(min_size=1),
        st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2).map(tuple),
        st.dictionaries(st.text(), names, max_size=2),
    ),
)

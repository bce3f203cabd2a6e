"""Passwords: whether there is anybody to check one against costs a guesser nothing, and tells nothing."""

import pytest
from argon2 import extract_parameters
from argon2.exceptions import VerifyMismatchError

from controller import passwords


def test_a_password_of_nobody_takes_as_much_work_to_check_as_any() -> None:
    hasher = passwords._hasher
    nobodys = passwords.hash_of_nobody(hasher)
    assert extract_parameters(nobodys) == extract_parameters(hasher.hash("a password"))
    with pytest.raises(VerifyMismatchError):  # it was checked, and not found to be no hash
        hasher.verify(nobodys, "a password")
    assert nobodys != passwords.hash_of_nobody(hasher)


async def test_nothing_fits_where_there_is_no_password() -> None:
    checked = passwords.Passwords()
    assert await checked.fits(await checked.hash("a password"), "a password")
    assert not await checked.fits("", "a password")
    assert not await checked.fits(await checked.hash(""), "")

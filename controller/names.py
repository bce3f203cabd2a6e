"""What the controller makes up: keys that name pods for ever, and secrets nobody can guess."""

import hashlib
import secrets

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, without those that look alike
KEY_LETTERS = 8  # 40 random bits: two pods of one name, one after the other, never share a key
SECRET_BYTES = 24  # 192 random bits, 32 characters that mean nothing special in a URL or a shell


def new_key(name: str) -> str:
    """Make the key of a new pod: safe as a file name, telling which pod it is."""
    return f"{name}-{''.join(secrets.choice(_LETTERS) for _ in range(KEY_LETTERS))}"


def name_of(key: str) -> str:
    """Give the name of the pod a key was made for."""
    return key.rpartition("-")[0]


def new_secret() -> str:
    """Make a password or a token."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_of(token: str) -> str:
    """Give what the store keeps of a token: it tells a right one from a wrong one and nothing else."""
    return hashlib.sha256(token.encode()).hexdigest()

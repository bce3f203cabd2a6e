"""Failure: what ends a command with one sentence and exit code 1."""


class Failure(Exception):
    """Something a person can mend; the text is one sentence that says what happened and what to do."""

"""Questions: what the openings of a worker ask its supervisor, each with a number, and the answers by that number.

An opening runs in the loop's thread, the control channel in trio's. `ask` and `answer` belong to the loop's; what is
to be sent is handed to `post`, which may be called there and lets trio's thread send it.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.waiting import TooSlow, time_limit, told

Document = dict[str, Any]


class Questions:
    """Questions under way. Without anybody to post them to, all stay unanswered at once."""

    def __init__(self, post: Callable[[Document], object] | None = None) -> None:
        """`post` begins to send a document to the supervisor."""
        self._post = post
        self._numbers = itertools.count(1)
        self._wakes: dict[int, Callable[[], None]] = {}  # who waits for which answer
        self._answers: dict[int, Document] = {}

    async def ask(self, question: Document, patience: float) -> Document | None:
        """Give the answer; None: there was none in `patience` seconds, or the supervisor is gone."""
        if self._post is None:
            return None
        number = next(self._numbers)
        try:
            with time_limit(patience):
                await told(partial(self._begin, number, question))
        except TooSlow:
            return None
        finally:
            self._wakes.pop(number, None)
            answer = self._answers.pop(number, None)
        return answer

    def tell(self, document: Document) -> None:
        """Say something that has no answer."""
        if self._post is not None:
            self._post(document)

    def answer(self, document: Document) -> None:
        """Take an answer, unless nobody waits for it any more."""
        wake = self._wakes.pop(document["id"], None)
        if wake is not None:
            self._answers[document["id"]] = document
            wake()

    def end(self) -> None:
        """Let all go on without an answer, now and from now on: the supervisor is gone."""
        self._post = None
        for wake in self._wakes.values():
            wake()
        self._wakes.clear()

    def _begin(self, number: int, question: Document, wake: Callable[[], None]) -> None:
        if self._post is None:
            return wake()
        self._wakes[number] = wake
        self._post({"kind": "ask", "id": number, **question})
        return None

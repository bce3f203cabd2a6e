"""Passing: how a supervisor brings a cancel to its owner, as `gateway.cancelling` names owners.

From one of its workers it goes to another one, or to the other replicas, all at once since they are few and only one
of them holds the session. From another replica it goes to a worker of ours or nowhere: never on, so that no two
gateways can send each other round in circles.
"""

from collections.abc import Sequence
from typing import Any

from gateway.cancelling import PATIENCE, from_document, owner_of, to_document
from gateway.peers import Peers
from gateway.process import WorkerProcess
from gateway.wire.pgmessage import CancelKey


class Passing:
    """The way of cancels through a supervisor."""

    def __init__(self, replica: int, workers: Sequence[WorkerProcess | None], peers: Peers | None) -> None:
        """`workers` by their numbers, None where there is none at the moment; the caller's own list, which changes."""
        self._replica = replica
        self._workers = workers
        self._peers = peers

    async def serve(self) -> None:
        """Take what other replicas pass on, if there are any."""
        if self._peers is not None:
            await self._peers.serve(self._deliver)

    async def answer(self, worker: WorkerProcess, question: dict[str, Any]) -> None:
        """Pass on what a worker asks for and tell it whether the key was right."""
        key, host = from_document(question)
        worker.answer(question, right=await self._lead(key, host))

    async def _lead(self, key: CancelKey, host: str | None) -> bool:
        owner = owner_of(key)
        if owner is None:
            return False
        if owner.replica == self._replica:
            return await self._deliver(key, host)
        return self._peers is not None and await self._peers.others.ask(key)

    async def _deliver(self, key: CancelKey, host: str | None = None) -> bool:
        """Tell the worker that owns a key; one that is not there has no sessions."""
        owner = owner_of(key)
        if owner is None or owner.replica != self._replica or owner.worker >= len(self._workers):
            return False
        worker = self._workers[owner.worker]
        if worker is None or worker.version is None:
            return False
        answer = await worker.ask({"what": "cancel", **to_document(key, host)}, PATIENCE)
        return answer is not None and answer["right"] is True

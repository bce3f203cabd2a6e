"""/v1/routes: what gateways follow and acknowledge."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from controller.api.documents import Acknowledgement
from controller.api.problems import Problem
from controller.api.streaming import Stream
from controller.control import Control
from controller.feed import NotLive, NotPublished
from router.snapshot import Rejected, Version

MOST_WORKERS = 4096
LARGEST_VERSION = 2**53 - 1  # that every reader of JSON reads as it is


class NdjsonStream(Response):
    """For the API's description: one document a line."""

    media_type = "application/x-ndjson"


def routes_router(control: Control) -> APIRouter:
    """Make the routes under /v1/routes."""
    router = APIRouter(prefix="/v1/routes", tags=["routes"])

    @router.get("/stream", response_class=NdjsonStream)
    async def follow_routes(
        replica: Annotated[str, Query(min_length=1, max_length=128)],
        workers: Annotated[int, Query(ge=1, le=MOST_WORKERS)] = 1,
        epoch: Annotated[str, Query(max_length=64)] = "",
        version: Annotated[int, Query(ge=0, le=LARGEST_VERSION)] = 0,
    ) -> Stream:
        """Follow the routes: a snapshot, then deltas as they happen, and a ping every five seconds.

        A gateway that says what it runs already is given nothing older by another replica of the controller.
        """
        pieces = control.feed.follow(replica, workers, Version(epoch, version))
        return Stream(pieces, "application/x-ndjson", control.ending)

    @router.post("/ack", status_code=204)
    async def acknowledge_routes(given: Acknowledgement) -> None:
        """Say that all workers of a replica run a version, and which routes they could not use."""
        rejected = [Rejected(each.host, each.reason) for each in given.rejected]
        try:
            control.feed.acknowledge(given.replica, Version(given.epoch, given.version), rejected)
        except NotLive as error:
            raise Problem(409, "this replica has no open stream; open one at /v1/routes/stream first") from error
        except NotPublished as error:
            raise Problem(
                422, f"version {given.version} is not published yet", [("version", "not published yet")]
            ) from error

    return router

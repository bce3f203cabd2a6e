"""/v1/routes: what gateways follow and acknowledge, and how they say they are."""

from functools import partial
from typing import Annotated

import trio
from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator

from certs.authority import Authority
from certs.client import InvalidRequest
from certs.files import CertificateProblem
from controller.api.access import Called
from controller.api.documents import check_shown
from controller.api.gatewaydocuments import Acknowledgement, GatewayCertificates, GatewayRequest, GatewayStanding
from controller.api.problems import Problem
from controller.api.streaming import Stream
from controller.control import Control
from controller.gateways import NameInUse, NotLive, NotPublished, Standing, Who, may_speak_for
from controller.identity import Caller
from router.snapshot import Rejected, Version

MOST_WORKERS = 4096
LARGEST_VERSION = 2**53 - 1  # that every reader of JSON reads as it is
MOST_GATEWAYS = 1000  # live at once
_NOT_LIVE = "this replica has no open stream; open one at /v1/routes/stream first"

Name = Annotated[str, Query(min_length=1, max_length=128), AfterValidator(check_shown)]
Workers = Annotated[int, Query(ge=1, le=MOST_WORKERS)]
Number = Annotated[int, Query(ge=0, le=63)]
Word = Annotated[str, Query(max_length=64), AfterValidator(check_shown)]


class NdjsonStream(Response):
    """For the API's description: one document a line."""

    media_type = "application/x-ndjson"


def routes_router(control: Control) -> APIRouter:
    """Make the routes under /v1/routes."""
    router = APIRouter(prefix="/v1/routes", tags=["routes"])
    feed = control.feed

    @router.get("/stream", response_class=NdjsonStream)
    async def follow_routes(
        caller: Called,
        replica: Name,
        workers: Workers = 1,
        number: Number = 0,
        software: Word = "",
        instance: Word = "",
        epoch: Word = "",
        version: Annotated[int, Query(ge=0, le=LARGEST_VERSION)] = 0,
    ) -> Stream:
        """Follow the routes: a snapshot, then deltas as they happen, and a ping every five seconds.

        A name is one gateway's: while a stream of it is open, another `instance` is answered 409. A gateway that says
        what it runs already (`epoch`, `version`) is given nothing older by another replica of the controller.
        """
        check_replica(caller, replica)
        who = Who(instance, number, software, caller.address)
        try:
            feed.greet(replica, who)
        except NameInUse as error:
            raise Problem(409, str(error)) from error
        if replica not in feed.gateways and len(feed.gateways) >= MOST_GATEWAYS:
            raise Problem(503, f"{MOST_GATEWAYS} gateways follow already")
        revoked = partial(control.gateway_tokens.revoked, caller.principal.credential)
        pieces = feed.follow(replica, workers, who, Version(epoch, version))
        return Stream(pieces, "application/x-ndjson", control.ending, revoked)

    @router.post("/ack", status_code=204)
    async def acknowledge_routes(given: Acknowledgement, caller: Called) -> None:
        """Say that all workers of a replica run a version, and which routes they could not use."""
        check_replica(caller, given.replica)
        version = Version(given.epoch, given.version)
        rejected = [Rejected(each.host, each.reason) for each in given.rejected]
        try:
            feed.acknowledge(given.replica, version, rejected)
        except NotLive as error:
            if not await control.pass_on(given.replica, version, rejected):
                raise Problem(409, _NOT_LIVE) from error
        except NotPublished as error:
            raise Problem(
                422, f"version {given.version} is not published yet", [("version", "not published yet")]
            ) from error

    @router.post("/standing", status_code=204)
    async def tell_standing(given: GatewayStanding, caller: Called) -> None:
        """Say how a replica is: what it has open, and whether it drains."""
        check_replica(caller, given.replica)
        standing = Standing(given.workers, given.links, given.openings, given.draining, tuple(given.addresses))
        try:
            feed.stand(given.replica, standing)
        except NotLive as error:
            raise Problem(409, _NOT_LIVE) from error

    @router.post("/certificate", status_code=201)
    async def sign_for_gateway(given: GatewayRequest, caller: Called) -> GatewayCertificates:
        """Sign, for a gateway with a home of its own, what serves the pods' hosts and what replicas know it by."""
        check_replica(caller, given.replica)
        signed = await trio.to_thread.run_sync(_sign, control, given.csr)
        who = caller.name or caller.principal.credential
        await control.people.audit.record(
            who, "sign gateway certificates", address=caller.address, detail=f"for {given.replica}"
        )
        return signed

    return router


def _sign(control: Control, csr: str) -> GatewayCertificates:
    """Sign both; the domain is served by one wildcard, as everywhere. Raises Problem."""
    domain = control.settings.domain
    hosts = (f"*.{domain}", domain) if "." in domain else (domain,)
    try:
        authority = Authority.open(control.settings.home / "authority")
        pods, peer = authority.sign_hosts(csr.encode(), hosts), authority.sign_peer(csr.encode())
        ca = authority.path.read_text(encoding="ascii")
    except InvalidRequest as error:
        raise Problem(422, f"the request is not valid: csr: {error}", [("csr", str(error))]) from error
    except (CertificateProblem, OSError) as error:
        raise Problem(503, str(error)) from error
    return GatewayCertificates(certificate=pods.decode(), peer=peer.decode(), ca=ca)


def check_replica(caller: Caller, replica: str) -> None:
    """See that the token of one gateway does not speak for another. Raises Problem."""
    scope = caller.principal.credential
    if not may_speak_for(scope, replica):
        name = scope.partition(":")[2]
        own = f"gateways named {name!r} or '{name}-…' alone"
        raise Problem(403, f"this token speaks for {own}, not for {replica!r}")

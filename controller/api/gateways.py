"""/v1/gateways and /v1/gateway-tokens: which gateways there are, how they stand, and what lets those elsewhere in."""

from fastapi import APIRouter

from controller.api.access import Called, need_admin
from controller.api.documents import timestamp
from controller.api.gatewaydocuments import (
    GatewayDocument,
    GatewayList,
    GatewayTokenDocument,
    GatewayTokenList,
    NewGatewayToken,
    Refused,
)
from controller.control import Control
from controller.gateways import Gateway


def gateways_router(control: Control) -> APIRouter:
    """Make the routes about gateways, for administrators."""
    router = APIRouter(prefix="/v1", tags=["gateways"])
    tokens = control.gateway_tokens

    @router.get("/gateways")
    async def list_gateways(caller: Called) -> GatewayList:
        """List the gateways that follow the routes: what each runs, how far behind it is, what it has open."""
        need_admin(caller)
        epoch, version = control.feed.version
        live = sorted(control.feed.live.values(), key=lambda gateway: gateway.replica)
        return GatewayList(epoch=epoch, version=version, gateways=[gateway_document(control, each) for each in live])

    @router.post("/gateway-tokens", status_code=201)
    async def create_gateway_token(new: NewGatewayToken, caller: Called) -> GatewayTokenDocument:
        """Make the token by which gateways of a name follow from elsewhere; its text is told this once."""
        need_admin(caller)
        return GatewayTokenDocument(name=new.name, token=await tokens.create(new.name, caller.by))

    @router.get("/gateway-tokens")
    async def list_gateway_tokens(caller: Called) -> GatewayTokenList:
        """List the names that have a token."""
        need_admin(caller)
        return GatewayTokenList(names=tokens.names())

    @router.delete("/gateway-tokens/{name}", status_code=204)
    async def revoke_gateway_token(name: str, caller: Called) -> None:
        """Let the gateways of a name in no more; their streams end at once."""
        need_admin(caller)
        await tokens.revoke(name, caller.by)

    return router


def gateway_document(control: Control, gateway: Gateway) -> GatewayDocument:
    """Write down how a gateway is."""
    lag, standing = control.feed.lag(gateway), gateway.standing
    return GatewayDocument(
        replica=gateway.replica,
        epoch=gateway.acknowledged.epoch,
        version=gateway.acknowledged.number,
        current=control.feed.current(gateway),
        lag_versions=lag.versions,
        lag_seconds=round(lag.seconds, 3),
        workers=standing.workers or gateway.workers,
        since=timestamp(gateway.since),
        rejected=[Refused(host=host, reason=reason) for host, (_, reason) in gateway.rejected.items()],
        links=standing.links,
        openings=standing.openings,
        draining=standing.draining,
        address=gateway.who.address,
        listens=list(standing.addresses),
        number=gateway.who.number,
        software=gateway.who.software,
    )

"""/v1/status, /v1/templates and /v1/healthz."""

from collections import Counter

from fastapi import APIRouter

from controller.api.access import Called, visible
from controller.api.documents import timestamp
from controller.api.gatewaydocuments import PublishedRoutes, StatusDocument
from controller.api.gateways import gateway_document
from controller.api.poddocuments import ParameterDocument, TemplateDocument, TemplateEndpointDocument, TemplateList
from controller.control import Control
from controller.settings import VERSION

_AWAY = "the database that controllers share does not answer"  # to others than admins


def status_router(control: Control) -> APIRouter:
    """Make the routes that tell how the controller is and what it can do."""
    router = APIRouter(prefix="/v1", tags=["status"])

    @router.get("/healthz")
    async def tell_health() -> dict[str, str]:
        """Tell that the controller answers; needs no token."""
        return {"status": "ok"}

    @router.get("/status", response_model_exclude_none=True)
    async def tell_status(caller: Called) -> StatusDocument:
        """Tell how many pods, routes and gateways there are and how they are: to admins all, to others their own."""
        epoch, number = control.feed.version
        pods = [pod for pod in control.pods if visible(control, caller, pod.name)]
        everything = caller.admin and caller.whole
        own = sum(len(control.templates[pod.template].endpoints) for pod in pods if pod.template in control.templates)
        leader, trouble = control.standing()
        gateways = sorted(control.feed.live.values(), key=lambda gateway: gateway.replica)
        return StatusDocument(
            version=VERSION,
            started_at=timestamp(control.started_at),
            domain=control.settings.domain,
            pods=Counter(str(pod.status.phase) for pod in pods),
            routes=PublishedRoutes(epoch=epoch, version=number, count=len(control.feed) if everything else own),
            gateways=[gateway_document(control, gateway) for gateway in gateways if everything],
            replica=control.settings.replica or None,
            leader=leader or None,
            database=(trouble if everything else _AWAY) if trouble else None,
        )

    @router.get("/templates")
    async def list_templates() -> TemplateList:
        """List what a pod can be made of."""
        return TemplateList(
            templates=[
                TemplateDocument(
                    name=template.name,
                    summary=template.summary,
                    parameters=[
                        ParameterDocument(name=each.name, help=each.help, default=each.default, required=each.required)
                        for each in template.parameters
                    ],
                    endpoints=[
                        TemplateEndpointDocument(name=each.name, protocol=each.protocol) for each in template.endpoints
                    ],
                )
                for template in control.templates.values()
            ]
        )

    return router

"""The API as one ASGI application, described by its OpenAPI document at /v1/openapi.json."""

from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from controller.api.acknowledging import Acknowledging
from controller.api.audit import audit_router
from controller.api.documents import ProblemDocument
from controller.api.gate import Gate
from controller.api.gateways import gateways_router
from controller.api.orphans import orphans_router
from controller.api.people import people_router
from controller.api.pods import pods_router
from controller.api.problems import MEDIA_TYPE, install_problems
from controller.api.refusals import install_refusals
from controller.api.routes import routes_router
from controller.api.sharing import sharing_router
from controller.api.status import status_router
from controller.api.tokens import tokens_router
from controller.control import Control
from controller.settings import VERSION

_PROBLEMS = {
    401: "no valid token",
    403: "the caller holds too low a level, or the token does not reach this far",
    404: "no such pod or path, or none the caller may know of",
    409: "not possible as things are",
    413: "the body is too long",
    415: "the body is not said to be JSON",
    422: "a field is not valid",
    429: "too many failed attempts",
    500: "unexpected failure",
    503: "the store cannot be written, or the controller is ending",
    504: "not reached in time",
    507: "no space left",
}
_BEARER = HTTPBearer(auto_error=False, description="an API token, or that of admin.token; gateway.token for /v1/routes")


_ROUTERS = (
    status_router, people_router, tokens_router, pods_router, sharing_router, audit_router, routes_router,
    gateways_router, orphans_router,
)  # fmt: skip


def create_app(control: Control, *, public: bool = False) -> FastAPI:
    """Make the application; `public`: for callers who come through a gateway."""
    app = FastAPI(
        title="Podgate",
        version=VERSION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_described_bearer)],
        responses={
            status: {"description": text, "content": {MEDIA_TYPE: {"schema": _schema()}}}
            for status, text in _PROBLEMS.items()
        },
    )
    install_problems(app)
    install_refusals(app, control)
    for make_router in _ROUTERS:
        app.include_router(make_router(control))
    app.add_middleware(Acknowledging, control=control)
    app.add_middleware(Gate, control=control, public=public)
    return app


async def _described_bearer(_token: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Only describe that calls need a token: the gate has asked for it already."""


def _schema() -> dict[str, object]:
    return ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")

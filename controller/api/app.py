"""The API as one ASGI application, described by its OpenAPI document at /v1/openapi.json."""

from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from controller.api.documents import ProblemDocument
from controller.api.gate import Gate
from controller.api.pods import pods_router
from controller.api.problems import MEDIA_TYPE, install_problems
from controller.api.routes import routes_router
from controller.api.status import status_router
from controller.control import Control
from controller.settings import VERSION

_PROBLEMS = {
    401: "no valid token",
    403: "the token's scope does not reach this far",
    404: "no such pod or path",
    409: "not possible as things are",
    413: "the body is too long",
    415: "the body is not said to be JSON",
    422: "a field is not valid",
    500: "unexpected failure",
    503: "the store cannot be written, or the controller is ending",
    504: "not reached in time",
    507: "no space left",
}
_BEARER = HTTPBearer(auto_error=False, description="the token of admin.token, or of gateway.token for /v1/routes")


def create_app(control: Control) -> FastAPI:
    """Make the application."""
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
    for router in (status_router(control), pods_router(control), routes_router(control)):
        app.include_router(router)
    app.add_middleware(Gate, scopes=control.scopes)
    return app


async def _described_bearer(_token: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Only describe that calls need a token: the gate has asked for it already."""


def _schema() -> dict[str, object]:
    return ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")

"""Refusals: a caller who is known and is not let is answered, and it is written down."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from controller.api.access import Refused, caller_of, too_low
from controller.api.problems import no_such_pod
from controller.control import Control
from controller.sharing import Beyond


def install_refusals(app: FastAPI, control: Control) -> None:
    """Let every refusal of `app` be in the audit log."""

    @app.exception_handler(Refused)
    async def of_refused(request: Request, error: Refused) -> JSONResponse:
        what = getattr(request.scope.get("route"), "name", "call").replace("_", " ")
        await control.people.audit.refused(caller_of(request).by, what, pod=error.pod, detail=error.detail)
        return error.response()

    @app.exception_handler(Beyond)
    async def of_beyond(request: Request, error: Beyond) -> JSONResponse:
        if error.held is None:  # taken back while this was under way
            return await of_refused(request, Refused(no_such_pod(error.pod.name), error.pod.key, hidden=True))
        wish = "give or take that of others" if error.held < error.needed else "do that"
        return await of_refused(request, too_low(caller_of(request), error.pod, error.needed, wish, error.held))

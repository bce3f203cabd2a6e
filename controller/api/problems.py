"""Errors as every caller gets them: RFC 9457 problem documents, one form for all of the API."""

import math
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from controller.identity import (
    Conflict,
    NoMember,
    Throttled,
    UnknownGrant,
    UnknownGroup,
    UnknownPerson,
    UnknownToken,
)
from controller.pods import UnknownPod
from controller.store.database import StoreFailure
from controller.store.store import NameTaken

MEDIA_TYPE = "application/problem+json"
MOST_FIELDS = 20  # errors shown of one request
_LONGEST_SHOWN = 200  # characters of what a caller sent, within a message
# What is wrong with a field in our words, by pydantic's name for it; `{…}` is what pydantic tells beside the name.
_WORDS: Mapping[str, str] = {
    "missing": "required",
    "extra_forbidden": "no such field",
    "json_invalid": "not JSON: {error}",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected what fits {pattern}",
    "string_unicode": "expected text that is valid unicode",
    "too_long": "expected at most {max_length} items",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "enum": "expected {expected}",
    "dict_type": "expected an object",
    "model_attributes_type": "expected an object",
}
_PROLOGUE = re.compile(r"^(?:Input|String|List|Dictionary|Value|Data) should (?:be|have) ")  # of pydantic's own words


class Problem(Exception):
    """An answer that is an error: its status, one sentence on what happened and what to do, the fields at fault."""

    def __init__(
        self,
        status: int,
        detail: str,
        fields: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
        self.headers = headers

    def response(self) -> JSONResponse:
        """Give the answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.fields:
            document["errors"] = [{"field": name, "reason": reason} for name, reason in self.fields]
        return JSONResponse(document, self.status, self.headers, MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Let every expected error of `app` be answered by a problem."""

    @app.exception_handler(Problem)
    async def of_problem(_request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, _http_detail(request, error), headers=error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        if error.errors()[0]["loc"] == ("body",) and not _says_json(request):
            return Problem(415, "the body is not said to be JSON; send Content-Type: application/json").response()
        return _invalid(error).response()

    @app.exception_handler(UnknownPod)
    async def of_unknown(_request: Request, error: UnknownPod) -> JSONResponse:
        return Problem(404, no_such_pod(str(error))).response()

    @app.exception_handler(NameTaken)
    async def of_taken(_request: Request, error: NameTaken) -> JSONResponse:
        detail = f"a pod named {str(error)!r} is there already; choose another name, or delete that pod first"
        return Problem(409, detail, [("name", "taken")]).response()

    @app.exception_handler(UnknownPerson)
    @app.exception_handler(UnknownGroup)
    @app.exception_handler(UnknownToken)
    @app.exception_handler(UnknownGrant)
    async def of_unknown_part(_request: Request, error: Exception) -> JSONResponse:
        return Problem(404, f"there is no {_PARTS[type(error)]} {shown(str(error))}").response()

    @app.exception_handler(NoMember)
    async def of_no_member(_request: Request, error: NoMember) -> JSONResponse:
        return Problem(404, str(error)).response()

    @app.exception_handler(Conflict)
    async def of_conflict(_request: Request, error: Conflict) -> JSONResponse:
        return Problem(409, str(error), [(error.field, str(error))] if error.field else ()).response()

    @app.exception_handler(Throttled)
    async def of_throttled(_request: Request, error: Throttled) -> JSONResponse:
        return Problem(429, str(error), headers={"retry-after": str(math.ceil(error.retry_after))}).response()

    @app.exception_handler(StoreFailure)
    async def of_store(_request: Request, error: StoreFailure) -> JSONResponse:
        return Problem(507 if error.full else 503, str(error)).response()


_PARTS: Mapping[type[Exception], str] = {
    UnknownPerson: "user",
    UnknownGroup: "group",
    UnknownToken: "token named",
    UnknownGrant: "such grant or link:",
}


def no_such_pod(name: str) -> str:
    """Say that there is no such pod, also to those who may not know that there is."""
    return f"there is no pod named {shown(name)}; see those there are: podgate pod list"


def shown(text: str) -> str:
    """Give what a caller sent as it may stand in a message."""
    return repr(text) if len(text) <= _LONGEST_SHOWN else repr(text[:_LONGEST_SHOWN]) + "…"


def _http_detail(request: Request, error: HTTPException) -> str:
    path = shown(request.url.path)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {path}; the API is described at /v1/openapi.json"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not possible at {path}"
    return str(error.detail)


def _says_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _invalid(error: RequestValidationError) -> Problem:
    fields = [(_field(found["loc"]), _reason(found)) for found in error.errors()[:MOST_FIELDS]]
    detail = "; ".join(f"{name}: {reason}" for name, reason in fields[:3])
    return Problem(422, f"the request is not valid: {detail}", fields)


def _field(location: Iterable[object]) -> str:
    parts = [str(part)[:_LONGEST_SHOWN] for part in location if not isinstance(part, int)]
    return ".".join(parts[1:]) or (parts[0] if parts else "body")


def _reason(found: Mapping[str, Any]) -> str:
    words = _WORDS.get(found["type"])
    if words is not None:
        told = found.get("ctx", {}).items()
        return words.format_map({name: f"{fact:.15g}" if isinstance(fact, float) else fact for name, fact in told})
    text = str(found["msg"]).removeprefix("Value error, ").removeprefix(f"{found['loc'][-1]}: ")
    return _PROLOGUE.sub("expected ", text)[:500]

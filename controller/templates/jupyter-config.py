# ruff: noqa: N999  # named after its template, as all that belongs to one
"""Jupyter's settings: it believes the gateway about who is calling, and asks nobody outside for anything.

The gateway removes every inbound `X-Podgate-…` field and sets its own, and nobody but the gateway reaches the socket in
the pod's own directory. Whoever comes without a level, as anybody does whom a `public` endpoint lets through, is
refused here; `read` sees notebooks and files, `write` and above change them and run code.
"""

import os
from pathlib import Path

from jupyter_server.auth import Authorizer, IdentityProvider, User
from tornado.web import HTTPError, RequestHandler
from traitlets.config import get_config

RUNS_CODE = {"write", "manage", "owner"}
LEVELS = {"read"} | RUNS_CODE


def level_of(handler: RequestHandler) -> str:
    """Give the caller's level; empty without exactly one that is known."""
    named = handler.request.headers.get_list("X-Podgate-Level")
    return named[0] if len(named) == 1 and named[0] in LEVELS else ""


class GatewayIdentity(IdentityProvider):
    """Who the gateway says is calling."""

    login_available = logout_available = False

    def get_user(self, handler: RequestHandler) -> User:
        if not level_of(handler):
            handler.current_user = None  # for the page that says so
            raise HTTPError(403, "This is for those who have a level on the pod: ask its owner to share it with you.")
        return User(handler.request.headers.get("X-Podgate-User") or "guest")

    def validate_security(self, app: object, ssl_options: object = None) -> None:
        """Without a warning that no password is set."""


class LevelAuthorizer(Authorizer):
    """What each level may do."""

    def is_authorized(self, handler: RequestHandler, user: User, action: str, resource: str) -> bool:
        return level_of(handler) in RUNS_CODE or action == "read"


run = Path(os.environ["POD_RUN"])
c = get_config()

c.ServerApp.identity_provider_class = GatewayIdentity
c.ServerApp.authorizer_class = LevelAuthorizer
if os.environ["POD_LISTEN"]:  # a NetworkPolicy keeps all but gateways away
    c.ServerApp.ip = os.environ["POD_LISTEN"]
    c.ServerApp.port = int(os.environ["PORT"])
    c.ServerApp.port_retries = 0
else:
    c.ServerApp.sock = str(run / "jupyter.sock")
    c.ServerApp.sock_mode = "0600"
c.ServerApp.allow_remote_access = True  # the Host is the pod's name, which the gateway has checked
c.ServerApp.trust_xheaders = True
c.ServerApp.open_browser = False
c.ServerApp.root_dir = str(Path(os.environ["POD_DATA"]) / "notebooks")

# Kernels listen on loopback, where without encryption everybody here could read what they print.
c.KernelManager.transport_encryption = "auto"

# Nothing is asked of the network.
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = None
c.LabApp.extension_manager = "readonly"
if "JUPYTER_SHARE" in os.environ:
    c.LabApp.app_dir = str(Path(os.environ["JUPYTER_SHARE"]) / "lab")

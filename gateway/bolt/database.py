"""The database's side of an opening: the gateway logs in there for a client.

The client's HELLO goes there too, since it tells how the client wants to be talked to; of its credentials nothing does.

Source: Neo4j, "Bolt Protocol", "HELLO message" and "LOGON message".
"""

import socket
from collections.abc import Mapping

from gateway.dialogue import Dialogue, NotTaken, Said
from gateway.wire import bolt
from gateway.wire.bolt import FAILURE, HELLO, LOGON, LOGON_MESSAGE, SUCCESS, Proposal, Version
from gateway.wire.packstream import Value
from router.database import Login

# What of a HELLO says how a client wants to be talked to; all else might be a credential.
PASSED = (
    "user_agent", "bolt_agent", "routing", "patch_bolt", "notifications_minimum_severity",
    "notifications_disabled_categories", "notifications_disabled_classifications",
)  # fmt: skip
_NOT_TAKEN = "Neo.ClientError.Security."  # how the codes begin of what is wrong with a login

Extra = Mapping[str, Value]


class OtherVersion(Exception):
    """A database does not speak the version it was known for."""


class Database(Dialogue):
    """A database that a connection was just opened to, spoken to in one version."""

    def __init__(self, upstream: socket.socket, host: str, version: Version) -> None:
        super().__init__(upstream, host)
        self.version = version

    async def message(self) -> tuple[bolt.Message, bytes]:
        """Receive the next message, and its bytes. Raises Refusal."""
        message: bolt.Message = await self.look(bolt.read_message)
        return message, self.take(message.size)

    async def log_in(self, hello: Extra, login: Login) -> bytes:
        """Log in; give the SUCCESS that says so. Raises NotTaken, Said, OtherVersion and Refusal."""
        shown = logon(login)
        told: dict[str, Value] = {key: value for key, value in hello.items() if key in PASSED}
        if self.version < LOGON_MESSAGE:
            said = bolt.message(HELLO, {**told, **shown})
        else:
            said = bolt.message(HELLO, told) + bolt.message(LOGON, shown)
        await self.send(bolt.propose(Proposal(*self.version, 0)) + said)
        version = await self.look(bolt.parse_version)
        if version != self.version:
            raise OtherVersion(f"bolt {version}, expected {self.version}")
        self.take(bolt.VERSION_SIZE)
        if self.version >= LOGON_MESSAGE:
            await self._success()
        return await self._success()

    async def _success(self) -> bytes:
        message, data = await self.message()
        if message.tag == SUCCESS:
            return data
        if message.tag != FAILURE:
            raise self.broke_off(f"a message {message.tag:#04x} at the login")
        code = code_of(message)
        if code.startswith(_NOT_TAKEN):
            raise NotTaken(code)
        raise Said(data)


def logon(login: Login) -> dict[str, Value]:
    """Give the credentials by which the gateway shows who it is."""
    return {"scheme": "basic", "principal": login.user, "credentials": login.password}


def code_of(failure: bolt.Message) -> str:
    """Give Neo4j's code of a FAILURE; empty if there is none."""
    said = failure.fields[0] if failure.fields else None
    code = (said.get("neo4j_code") or said.get("code")) if isinstance(said, dict) else None
    return code if isinstance(code, str) else ""

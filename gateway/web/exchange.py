"""Exchange: the requests and responses of one connection, in their order and without I/O.

Theory of operation. Bytes from the client go in by `up`, bytes from the upstream by `down`; each gives the bytes that
go on to the other side. A request's head is judged and rewritten, its body passes as it comes. The next head is read
when the response before it is complete: what a client sends ahead waits in `held`, and while something waits nothing
more is read from the client. So the upstream never has two requests, and what it sends between them is a fault.

What cannot go on here makes the exchange `leave`: an answer of the gateway's own, bad input, an upstream that ends
without an answer. Then the relay gives the connection back to its opening (`gateway.web.opening`).

Heads that were let in, and those that answered them, are remembered by their bytes (`gateway.web.memory`).
"""

from dataclasses import dataclass, replace

from gateway.errors import Reason, Refusal
from gateway.transform import BITE, WHOLE, Broken, Data
from gateway.web.answers import refuse, too_large_for
from gateway.web.engine import Engine
from gateway.web.judging import allowed_origin
from gateway.web.memory import Given, Seen, recall, see
from gateway.web.rewriting import request_head, response_head
from gateway.web.visit import Admitted, Answer, Caller, Visit
from gateway.wire.httpbody import Body, Chunked, Length, UntilClose
from gateway.wire.httphead import RequestHead, parse_head
from gateway.wire.httpresponse import ResponseHead, parse_response
from gateway.wire.verdict import Malformed, More
from router.model import Route

MOST_INTERIMS = 16  # responses of 1xx to one request
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))  # methods that may be sent again (RFC 9110, section 9.2.1)


@dataclass(frozen=True, slots=True)
class Leaving:
    """Why an exchange cannot go on: `unread` is for the opening to read, unless the answer is known already."""

    unread: bytes
    answer: Answer | None = None


class Exchange:
    """One connection's requests and responses."""

    owed = b""  # what it answers itself, the opening sends

    __slots__ = (
        "_admitted",
        "_body",
        "_closes",
        "_engine",
        "_given",
        "_interims",
        "_partial",
        "_request",
        "_response",
        "_seen",
        "_sent",
        "_served",
        "_visit",
        "ending",
        "head_began",
        "held",
        "leaving",
        "raw",
    )

    def __init__(self, engine: Engine, visit: Visit, admitted: Admitted) -> None:
        """Begin with a connection whose first request was let in; `start` then takes it."""
        self._engine = engine
        self._visit = visit
        self._request: RequestHead | None = None  # the one that is being answered
        self._admitted = admitted  # it, or between requests the one before
        self._body: Body | None = None  # of the request, while it is coming
        self._response: Body | None = None  # while it is coming
        self._sent = b""  # the head of the request, if it has no body, as it came
        self._closes = False  # this response is the last
        self._partial = b""  # the beginning of a response's head
        self._interims = 0  # responses of 1xx to this request
        self._served = 0  # requests answered here
        self._seen: Seen | None = None
        self._given: Given | None = None
        self.held = b""  # from the client, waiting for its turn
        self.head_began = 0.0  # when the unfinished head that is held began, of the steady clock; 0: there is none
        self.raw = False  # it is no longer HTTP
        self.ending = False  # the last response is complete
        self.leaving: Leaving | None = None

    # ---- what is known of it

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return self._request is None and not self.raw

    @property
    def wants_more(self) -> bool:
        """Whether the client is to be read."""
        return self.leaving is None and (self.ending or self.raw or self._request is None or not self.held)

    @property
    def bite(self) -> int:
        """How many bytes of the upstream's are to be taken in one turn."""
        return WHOLE if self.raw or isinstance(self._response, Length | UntilClose) else BITE

    @property
    def up_bite(self) -> int:
        """The same for the client's."""
        return WHOLE if self.raw or isinstance(self._body, Length) else BITE

    @property
    def caller(self) -> Caller:
        """Who sent the request under way, or the one before, as the pod was told."""
        return self._admitted.caller

    @property
    def route(self) -> Route:
        """The route as it was for the request under way, or for the one before."""
        return self._admitted.route

    @property
    def answers_until_close(self) -> bool:
        """Whether the end of the upstream is the end of what is being answered."""
        return isinstance(self._response, UntilClose)

    def pay(self) -> bytes:
        """Take what is owed: nothing."""
        return b""

    # ---- up

    def start(self, head: RequestHead, data: bytes) -> Data:
        """Begin with the request that was let in already, the first of `data`; give the bytes for the upstream."""
        self.held = data
        return self._admit(head, self._admitted)

    def up(self, data: Data) -> Data:
        """Take bytes from the client; give those for the upstream. Raises Broken."""
        if self.ending:
            return b""
        if self._request is None and not self.held:
            data, seen = bytes(data), self._seen
            if seen is not None and self._stands(seen) and (rewritten := recall(seen, data)) is not None:
                self._request, self._admitted, self._interims = seen.head, seen.admitted, 0
                self._sent = data if seen.head.method in SAFE else b""
                return rewritten
        elif self._body is not None:
            return self._go_on(self._body, data)
        if self.raw:
            data, self.held = (self.held + bytes(data), b"") if self.held else (data, b"")
            return data
        if self.leaving is not None:
            self.leaving = replace(self.leaving, unread=self.leaving.unread + bytes(data))
            return b""
        self.held += data
        return self._begin() if self._request is None and self.held else b""

    def _stands(self, seen: Seen) -> bool:
        return seen.admitted.policy is self._engine.policy and self._engine.clock() < seen.until

    def _begin(self) -> bytes:
        """Begin with the request that is held, if its head is whole and may go to the pod."""
        try:
            head = parse_head(self.held)
        except Malformed:
            return self._leave()
        if isinstance(head, More):
            self.head_began = self.head_began or self._engine.steady()
            return b""
        self.head_began = 0.0
        if not self._leads_here():
            return self._leave()
        admitted = self._engine.decide(head, self._visit)
        return self._admit(head, admitted) if isinstance(admitted, Admitted) else self._leave()

    def _leads_here(self) -> bool:
        """Tell whether the upstream of this connection is one that the route leads to now."""
        found = self._engine.policy.routes.find(self._visit.host)
        route = found.web_side() if found is not None else None
        return route is not None and route.upstreams == self._admitted.route.upstreams

    def _admit(self, head: RequestHead, admitted: Admitted) -> bytes:
        raw, rest = self.held[: head.size], self.held[head.size :]
        rewritten = request_head(head, self._visit, admitted)
        self._request, self._admitted, self._interims = head, admitted, 0
        self._sent = raw if head.length == 0 and head.method in SAFE else b""
        if head.length == 0:
            if not head.is_upgrade and not admitted.route.web.rate:
                self._seen = see(raw, head, admitted, rewritten, self._engine.clock())
            self.held = rest
            return rewritten
        self.held = b""
        self._body = Length(head.length) if head.length is not None else Chunked(strict=True)
        passed = self._go_on(self._body, rest)
        return b"".join((rewritten, passed)) if self.leaving is None else b""

    def _go_on(self, body: Body, data: Data) -> Data:
        """Pass the body on."""
        try:
            size = body.feed(data)
        except Malformed as error:
            return self._give_up(Refusal(Reason.MALFORMED, f"the request cannot be read: {error}"))
        largest = self._admitted.route.web.largest_body
        if isinstance(body, Chunked) and largest is not None and body.announced > largest:
            return self._give_up(too_large_for(self._admitted.route))
        if body.done:
            self._body = None
            if size < len(data):
                self.held = bytes(data[size:])
                data = data[:size]
        return data

    # ---- down

    def down(self, data: Data) -> Data:
        """Take bytes from the upstream; give those for the client."""
        if self.raw:
            return data
        if self._response is not None:
            return self._go_on_answering(self._response, data)
        request = self._request
        if request is None:
            raise Broken("the upstream sends what nobody asked for")
        given = self._given if not self._partial and not self._engine.is_draining else None
        is_known = given is not None and given.request is request
        if given is not None and is_known and bytes(data[: len(given.data)]) == given.data:
            return self._answer_again(given, data)
        return self._answer(request, self._partial + bytes(data))

    def _answer_again(self, given: Given, data: Data) -> Data:
        size = len(given.data)
        self._response, self._closes = Length(given.length), False
        return b"".join((given.rewritten, self._go_on_answering(self._response, data[size:])))

    def _answer(self, request: RequestHead, data: bytes) -> bytes:
        """Begin with a response, if its head is whole."""
        passed = b""
        while True:
            try:
                head = parse_response(data, request.method)
                if not isinstance(head, More) and head.is_upgrade and not request.is_upgrade:
                    raise Malformed("http response: an upgrade that nobody asked for")
                if self._interims > MOST_INTERIMS:
                    raise Malformed(f"http response: more than {MOST_INTERIMS} interim ones")
            except Malformed as error:
                return passed + self._give_up(_bad_gateway(self._visit.host, str(error)))
            if isinstance(head, More):
                self._partial = data
                return passed
            self._partial = b""
            if head.status >= 200 or head.is_upgrade:
                return passed + self._begin_answer(request, head, data)
            self._interims += 1
            if request.minor:  # HTTP/1.0 knows none of these
                passed += self._rewritten(request, head, closes=False)
            data = data[head.size :]
            if not data:
                return passed

    def _begin_answer(self, request: RequestHead, head: ResponseHead, data: bytes) -> bytes:
        if head.is_upgrade:
            self.raw = True
            return self._rewritten(request, head, closes=False) + data[head.size :]
        goes_on = head.keeps_alive and request.keeps_alive and request.minor == 1
        # A server that declined an upgrade may be left in a state of its own (Node 20 answers nothing more).
        # An early answer ends it too: nobody can tell whether the client sends the rest of its request.
        self._closes = not goes_on or request.is_upgrade or self._body is not None or self._engine.is_draining
        if isinstance(head.body, Chunked) and request.minor == 0:
            return self._give_up(_bad_gateway(self._visit.host, "it sent chunks to a client of http/1.0"))
        rewritten = self._rewritten(request, head, closes=self._closes)
        if isinstance(head.body, Length) and not self._closes:
            self._given = Given(data[: head.size], request, head.body.remaining, rewritten)
        self._response = head.body
        return rewritten + bytes(self._go_on_answering(head.body, data[head.size :]))

    def _rewritten(self, request: RequestHead, head: ResponseHead, *, closes: bool) -> bytes:
        origin = allowed_origin(request, self._admitted.route)
        return response_head(head, self._admitted, closes=closes, is_old=request.minor == 0, origin=origin)

    def _go_on_answering(self, body: Body, data: Data) -> Data:
        """Pass the response's body on."""
        try:
            size = body.feed(data)
        except Malformed as error:
            raise Broken(f"the upstream's answer breaks off: {error}") from error
        if not body.done:
            return data
        if size < len(data):
            self._closes = True  # what follows was not asked for: nothing this upstream says next can be trusted
            data = data[:size]
        self._response = None
        self._served += 1
        if self._closes:
            self.ending = True
        else:
            self._request = None
        return data

    # ---- ends

    def upstream_ended(self) -> bool:
        """Take note that the upstream sends no more; tell whether that is a good end of what it sent."""
        if self.raw or self.is_idle or self.ending:
            return True
        if self.answers_until_close:
            self._response, self.ending = None, True
            return True
        if self._response is not None:
            return False
        if self._served and self._sent and not self._partial:  # it was about to close when the request came
            self.leaving = Leaving(self._sent + self.held)
        else:
            self._give_up(_bad_gateway(self._visit.host, "it ended without an answer"))
        return True

    def _leave(self) -> bytes:
        self.leaving = Leaving(self.held)
        self.head_began = 0.0
        return b""

    def _give_up(self, refusal: Refusal) -> bytes:
        """Leave with a refusal if no answer has begun; otherwise there is no telling any more."""
        if self._response is not None or self._request is None:
            raise Broken(str(refusal))
        self.leaving = Leaving(b"", refuse(self._request, refusal))
        return b""


def _bad_gateway(host: str, why: str) -> Refusal:
    return Refusal(
        Reason.UNREACHABLE,
        f"the pod behind {host} gave no answer that can be passed on",
        "Try again; if it stays so, look at its logs: podgate pod logs NAME",
        for_log=why,
    )

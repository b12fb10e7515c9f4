"""Who gets in, and to what: the one place that decides it for every route.

In order: the request's headers are of a sane size; the address has not failed too often; the token is good;
it has calls left; its role and scopes allow the route's verb on the route's resource; it is for the account
in the path; break-glass gives a reason. Routes are read from the application's own OpenAPI description, so
that one added later is covered without doing anything. Routes for operators only say so themselves.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.addressing.auth import Caller, authenticate, hash_token
from controller.addressing.envelope import refusal_response, unavailable_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.permissions import OF_METHOD
from controller.addressing.rates import Limiter, Rates, Standing
from controller.addressing.strict import DeclaredRoutes
from controller.store import Store, StoreUnavailableError

log = structlog.get_logger()

MOST_HEADERS = 100
LARGEST_HEADERS = 32 << 10
"""Bytes of all names and values; the server itself breaks connections off at twice that."""

MOST_KNOWN = 10_000
REASON = "Herald-Reason"


class AccessMiddleware:
    """Refuses every request that may not be, before its query or body is looked at.

    It leaves the :class:`Caller` in the request's state, and tells on each answer what is left of the
    caller's rate.
    """

    def __init__(
        self, app: ASGIApp, store: Store, described: Callable[[], FastAPI], rates: Rates | None = None
    ) -> None:
        self._app = app
        self._store = store
        self._routes = DeclaredRoutes(described)
        self._limiter = Limiter(rates or Rates())
        self._known: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request on with its caller, or answer with the refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = remote_address(scope)
        try:
            check_headers(scope["headers"])
            caller = await self._caller(Headers(scope=scope), address)
            standing = self._limiter.call(caller)
            if not standing.allowed:
                raise _too_many(standing, "this token")
        except Refusal as refusal:
            failed = self._failed(refusal, address)
            await self._refuse(refusal, failed, scope, receive, send)
            return
        except StoreUnavailableError as error:
            log.warning("store unavailable", path=scope["path"], reason=str(error))
            await unavailable_response()(scope, receive, send)
            return
        try:
            self._authorise(caller, scope)
        except Refusal as refusal:
            await self._refuse(refusal, standing, scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, _telling(send, standing))

    async def _caller(self, headers: Headers, address: str | None) -> Caller:
        values = headers.getlist("authorization")
        scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
        good_shape = scheme.lower() == "bearer" and bool(token.strip())
        hashed = hash_token(token.strip())
        # A token that was good before passes: neighbours at one address do not shut each other out.
        if hashed not in self._known and not (failed := self._limiter.failed(address)).allowed:
            raise _too_many(failed, "calls without a good token from this address")
        if not good_shape:
            raise Refusal(Kind.UNAUTHENTICATED, "no bearer token: send Authorization: Bearer TOKEN")
        self._known.pop(hashed, None)
        caller = await run_in_threadpool(self._find, token.strip())
        self._known[hashed] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return caller

    def _find(self, token: str) -> Caller:
        with self._store.read() as session:
            return authenticate(session, token, datetime.now(UTC))

    def _failed(self, refusal: Refusal, address: str | None) -> Standing | None:
        """Count a failure to say who it is, and tell where its address stands."""
        if refusal.kind.status == 401:
            return self._limiter.failure(address)
        return refusal.standing if isinstance(refusal, _RateLimited) else None

    def _authorise(self, caller: Caller, scope: Scope) -> None:
        method, path = scope["method"], scope["path"]
        route = self._routes.find(method, path)
        if caller.role == "break-glass":
            _say_loudly(caller, scope)
        if route is None:  # nothing that is described: it will answer 404, 405 or 501
            return
        verb = OF_METHOD[method]
        caller.require(route.resource, verb)
        found = route.path.match(path)
        account = None if found is None else found.groupdict().get("account_id")
        if account is not None:
            caller.require_account(account)
        if caller.role == "break-glass" and verb != "read":
            _require_reason(Headers(scope=scope))

    async def _refuse(
        self, refusal: Refusal, standing: Standing | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = refusal_response(refusal, retry_after_s=1 if standing is None else standing.reset_s)
        await answer(scope, receive, send if standing is None else _telling(send, standing))


class _RateLimited(Refusal):
    """Too many calls, and where the caller stands."""

    def __init__(self, standing: Standing, message: str) -> None:
        super().__init__(Kind.RATE_LIMITED, message)
        self.standing = standing


def _too_many(standing: Standing, who: str) -> _RateLimited:
    rate = standing.rate
    return _RateLimited(
        standing,
        f"{who}: more than {rate.calls} calls in {rate.seconds} s; try again in {standing.reset_s} s",
    )


def check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse (431) more headers, or larger ones, than any client of ours has reason to send."""
    if len(headers) > MOST_HEADERS:
        raise Refusal(
            Kind.HEADERS_TOO_LARGE, f"the request has {len(headers)} headers: send at most {MOST_HEADERS}"
        )
    size = sum(len(name) + len(value) for name, value in headers)
    if size > LARGEST_HEADERS:
        raise Refusal(
            Kind.HEADERS_TOO_LARGE, f"the headers have {size} bytes: send at most {LARGEST_HEADERS}"
        )


def remote_address(scope: Scope) -> str | None:
    """Return by what a caller is told from others: an IPv4 address, an IPv6 /64; None on a unix socket."""
    client = scope.get("client")
    if not client:
        return None
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return str(client[0])
    if address.version == 6:  # whoever has one address of a /64 has them all
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _require_reason(headers: Headers) -> None:
    if not (headers.get(REASON) or "").strip():
        raise Refusal(
            Kind.REASON_REQUIRED,
            f"a break-glass token writes only with a reason: say why in {REASON}",
            f"/header/{REASON}",
        )


def _say_loudly(caller: Caller, scope: Scope) -> None:
    log.warning(
        "a break-glass token is used",
        token=caller.token_id,
        method=scope["method"],
        path=scope["path"],
        client=remote_address(scope),
        reason=Headers(scope=scope).get(REASON),
        expires_at=None if caller.expires_at is None else caller.expires_at.isoformat(),
    )


def _telling(send: Send, standing: Standing) -> Send:
    """Return ``send`` that tells on the answer where the caller stands."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in standing.headers().items():
                headers[name] = value
        await send(message)

    return telling

"""HTTP over unix sockets or TCP: the first carrier of :mod:`controller.transport.protocol`.

An address is a socket's path, ``unix:PATH``, or ``http://HOST:PORT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import httpx
import msgspec

from controller.observe.rib import RibRow
from controller.transport.errors import (
    TransportGarbledError,
    TransportRefusedError,
    TransportUnreachableError,
)
from controller.transport.messages import (
    BindingAck,
    BindingSet,
    Command,
    Confirmation,
    DrainOrder,
    HealthGrant,
    NewerJournal,
    Receipt,
    RegistryNews,
    SiteStatus,
)

T = TypeVar("T")


class HttpLink:
    """One keep-alive client to one peer; ``deadline_s`` bounds each call in seconds."""

    def __init__(self, address: str, *, name: str, deadline_s: float) -> None:
        self.name = name
        self.address = address
        self._deadline_s = deadline_s
        if address.startswith(("http://", "https://")):
            # Making a context for TLS reads all certificates, which costs more than the rest of a start.
            base, transport = address, httpx.AsyncHTTPTransport(verify=address.startswith("https://"))
        else:
            uds = address.removeprefix("unix:")
            base, transport = "http://herald", httpx.AsyncHTTPTransport(uds=uds, verify=False)
        self._client = httpx.AsyncClient(base_url=base, transport=transport, timeout=deadline_s)

    async def call(
        self, method: str, path: str, answer: type[T], *, body: Any = None, extra_s: float = 0.0
    ) -> T:
        """Make one request and decode its answer strictly.

        Raises :class:`TransportUnreachableError`, :class:`TransportRefusedError` (no success status) or
        :class:`TransportGarbledError`.
        """
        try:
            response = await self._client.request(
                method,
                path,
                content=None if body is None else msgspec.json.encode(body),
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=self._deadline_s + extra_s,
            )
        except httpx.TimeoutException as error:
            seconds = self._deadline_s + extra_s
            raise TransportUnreachableError(f"{self.name} does not answer within {seconds:g} s") from error
        except httpx.TransportError as error:
            raise TransportUnreachableError(
                f"{self.name} cannot be reached at {self.address}: {error or type(error).__name__}"
            ) from error
        if not response.is_success:
            raise TransportRefusedError(
                f"{self.name} answered {method} {path} with {response.status_code}: {_said(response)}",
                response.status_code,
                response.content,
            )
        try:
            return msgspec.json.decode(response.content, type=answer, strict=True)
        except msgspec.MsgspecError as error:
            raise TransportGarbledError(
                f"{self.name} answered {method} {path} with nonsense: {error}"
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class HttpSiteLink(HttpLink):
    """A site's agent (:class:`controller.transport.protocol.SiteLink`)."""

    def __init__(self, site: str, address: str, *, deadline_s: float = 5.0) -> None:
        super().__init__(address, name=f"agent of {site}", deadline_s=deadline_s)

    async def deliver(self, commands: Sequence[Command]) -> list[Receipt]:
        """``POST /commands``."""
        receipts = await self.call("POST", "/commands", list[Receipt], body=list(commands))
        if len(receipts) != len(commands):
            raise TransportGarbledError(
                f"{self.name} answered {len(commands)} commands with {len(receipts)} receipts"
            )
        return receipts

    async def confirm(self, confirmation: Confirmation) -> Receipt:
        """``POST /confirmations``."""
        return await self.call("POST", "/confirmations", Receipt, body=confirmation)

    async def grant(self, grant: HealthGrant) -> Receipt:
        """``POST /health-grants``."""
        return await self.call("POST", "/health-grants", Receipt, body=grant)

    async def drain(self, order: DrainOrder) -> Receipt:
        """``POST /drains``."""
        return await self.call("POST", "/drains", Receipt, body=order)

    async def enrol(self, news: RegistryNews) -> Receipt:
        """``POST /registry``."""
        return await self.call("POST", "/registry", Receipt, body=news)

    async def quarantine(self, remembered: NewerJournal) -> Receipt:
        """``POST /quarantine``."""
        return await self.call("POST", "/quarantine", Receipt, body=remembered)

    async def status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        """``GET /status``."""
        path = f"/status?after={after}&wait={wait:g}"
        return await self.call("GET", path, SiteStatus, extra_s=wait)

    async def adj_rib_out(self) -> list[RibRow]:
        """``GET /adj-rib-out``."""
        return await self.call("GET", "/adj-rib-out", list[RibRow])


class HttpMachineLink(HttpLink):
    """A machine (:class:`controller.transport.protocol.MachineLink`)."""

    def __init__(self, machine: str, address: str, *, deadline_s: float = 1.0) -> None:
        super().__init__(address, name=f"machine {machine}", deadline_s=deadline_s)

    async def put(self, bindings: BindingSet) -> BindingAck:
        """``PUT /bindings``."""
        return await self.call("PUT", "/bindings", BindingAck, body=bindings)

    async def get(self) -> BindingAck:
        """``GET /bindings``."""
        return await self.call("GET", "/bindings", BindingAck)


def _said(response: httpx.Response) -> str:
    """Return the error of :func:`controller.transport.http_server.problem`, or the start of the body."""
    try:
        said = msgspec.json.decode(response.content, type=dict[str, Any]).get("error", "")
    except msgspec.MsgspecError:
        said = response.text
    return " ".join(str(said).split())[:300]

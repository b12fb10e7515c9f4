"""A FakeAgent: an agent's HTTP routes over a dictionary, with faults on demand. For the driver's tests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from controller.bgp import Prefix
from controller.observe.rib import RibRow
from controller.safety.drain import Drain
from controller.snapshots.model import Chunk, ChunkHash, decode_chunk
from controller.snapshots.projection import project
from controller.transport.errors import TransportUnreachableError
from controller.transport.http_server import json_response, problem, read_body, serve_app
from controller.transport.messages import (
    Command,
    Confirmation,
    DrainOrder,
    HealthGrant,
    MachineStatus,
    NewerJournal,
    Receipt,
    SiteStatus,
    Waiting,
)


def opened() -> asyncio.Event:
    """Return a gate that stands open."""
    gate = asyncio.Event()
    gate.set()
    return gate


class FakeAgent:
    """Journals chunks by compare-and-set, and reports routes as sent unless ``waiting`` says otherwise."""

    def __init__(self, site: str, socket: Path) -> None:
        self.site = site
        self.socket = socket
        self.accounts: dict[str, ChunkHash] = {}
        self.chunks: dict[str, Chunk] = {}
        self.generation = 0
        self.commands: list[Command] = []
        self.unconfirmed: dict[str, int] = {}
        self.confirmed: list[Confirmation] = []
        self.before: dict[str, tuple[ChunkHash | None, Chunk | None]] = {}
        self.waiting: dict[Prefix, str] = {}
        self.lingers: set[Prefix] = set()
        """Routes that the speaker goes on sending, though they are to go."""
        self.drains: dict[str, Drain] = {}
        self.orders: list[DrainOrder] = []
        self.refuses = ""
        self.fault = ""
        self.epoch = "e1"
        self.resumed_from: tuple[str, int] | None = None
        self.quarantined: list[NewerJournal] = []
        self.loses_receipts = False
        self.asked = asyncio.Event()
        """Set when a command has arrived."""
        self.may_decide = opened()
        self.may_tell = opened()
        """While clear, a status is written but not handed out."""
        self.version = 1
        self.changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._server: asyncio.Task[None] | None = None

    async def __aenter__(self) -> FakeAgent:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        routes = [
            Route("/commands", self._commands, methods=["POST"]),
            Route("/confirmations", self._confirmations, methods=["POST"]),
            Route("/drains", self._drains, methods=["POST"]),
            Route("/quarantine", self._quarantine, methods=["POST"]),
            Route("/status", self._status),
            Route("/adj-rib-out", self._adj_rib_out),
        ]
        ready = asyncio.Event()
        self._stop = asyncio.Event()
        app = Starlette(routes=routes)
        self._server = asyncio.create_task(
            serve_app(app, socket=self.socket, ready=ready.set, stop=self._stop, on_stop=self.touch)
        )
        await ready.wait()

    async def down(self) -> None:
        if self._server is not None:
            self._stop.set()
            await self._server
            self._server = None

    def touch(self) -> None:
        """Something in the status has changed."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    async def _commands(self, request: Request) -> Response:
        commands = await read_body(request, list[Command])
        self.commands += commands
        self.asked.set()
        await self.may_decide.wait()
        receipts = [self.decide(command) for command in commands]
        self.touch()
        if self.loses_receipts:
            self.loses_receipts = False
            return problem(500, "the receipt is lost")
        return json_response(receipts)

    def decide(self, command: Command) -> Receipt:
        held = self.accounts.get(command.account_id)
        if command.generation <= self.generation:
            return Receipt(self.site, self.generation, "stale", "an older generation", held)
        if held != command.from_hash:
            return Receipt(self.site, self.generation, "conflict", "not what is here", held)
        if self.refuses:
            return Receipt(self.site, self.generation, "refused", self.refuses, held)
        assert command.to_hash is not None and command.chunk is not None
        self.unconfirmed.pop(command.account_id, None)
        if command.confirm_within_s is not None:
            self.unconfirmed[command.account_id] = command.generation
            self.before[command.account_id] = (held, self.chunks.get(command.account_id))
        self.chunks[command.account_id] = decode_chunk(command.chunk, command.to_hash)
        self.accounts[command.account_id] = command.to_hash
        self.generation = command.generation
        return Receipt(self.site, self.generation, "accepted")

    async def _confirmations(self, request: Request) -> Response:
        return json_response(self.confirm(await read_body(request, Confirmation)))

    def confirm(self, confirmation: Confirmation) -> Receipt:
        self.confirmed.append(confirmation)
        waits = self.unconfirmed.get(confirmation.account_id)
        if waits != confirmation.generation:
            return Receipt(self.site, confirmation.generation, "stale" if waits else "duplicate")
        del self.unconfirmed[confirmation.account_id]
        self.touch()
        return Receipt(self.site, confirmation.generation, "accepted")

    async def _drains(self, request: Request) -> Response:
        return json_response(self.drain(await read_body(request, DrainOrder)))

    def drain(self, order: DrainOrder) -> Receipt:
        """Take up a drain or its end; whose signature it has is the real agent's matter."""
        self.orders.append(order)
        if self.refuses:
            return Receipt(self.site, self.generation, "refused", self.refuses)
        if order.begin:
            body = base64.urlsafe_b64decode(order.begin.split(".")[2] + "==")
            record = msgspec.json.decode(body, type=Drain)
            self.drains[record.site] = record
        self.drains = {site: d for site, d in self.drains.items() if d.id != order.lift}
        self.touch()
        return Receipt(self.site, self.generation, "accepted")

    def put_back(self, account_id: str) -> None:
        """The time of an unconfirmed command is over."""
        del self.unconfirmed[account_id]
        held, chunk = self.before[account_id]
        if held is None or chunk is None:
            del self.accounts[account_id], self.chunks[account_id]
        else:
            self.accounts[account_id], self.chunks[account_id] = held, chunk
        self.touch()

    async def _quarantine(self, request: Request) -> Response:
        return json_response(self.quarantine(await read_body(request, NewerJournal)))

    def quarantine(self, remembered: NewerJournal) -> Receipt:
        self.quarantined.append(remembered)
        self.fault = "the journal is an older copy"
        self.touch()
        return Receipt(self.site, self.generation, "accepted")

    async def _status(self, request: Request) -> Response:
        after, wait = int(request.query_params["after"]), float(request.query_params["wait"])
        changed = self.changed
        if self.version <= after and wait > 0 and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), wait)
        written = self.status()
        await self.may_tell.wait()
        return json_response(written)

    def status(self) -> SiteStatus:
        routes = {r.prefix: r.as_path for r in project(self.chunks, self.site, 64500).routes}
        drain = self.drains.get(self.site)
        off = tuple(p for p in sorted(routes) if drain is not None and p not in drain.stays)
        routes = {p: path for p, path in routes.items() if p not in off}
        waiting = tuple(Waiting(p, why) for p, why in self.waiting.items() if p in routes)
        return SiteStatus(
            site=self.site,
            version=self.version,
            generation=self.generation,
            epoch=self.epoch,
            resumed_from=self.resumed_from,
            accounts=dict(self.accounts),
            settled=not waiting and not self.lingers,
            speaker="fake",
            speaker_up=True,
            sent={p: path for p, path in routes.items() if p not in self.waiting}
            | dict.fromkeys(self.lingers, (64500,)),
            machines=(MachineStatus("m1", True, self.generation, None),),
            waiting=waiting,
            fault=self.fault,
            unconfirmed=dict(self.unconfirmed),
            drains={site: d.id for site, d in self.drains.items()},
            drained=off,
        )

    async def _adj_rib_out(self, _: Request) -> Response:
        return Response(msgspec.json.encode([]), media_type="application/json")


class MemoryLink:
    """A link to a FakeAgent in the same process, for tests of very many histories; ``up`` as a network is."""

    def __init__(self, agent: FakeAgent) -> None:
        self.agent = agent
        self.up = True

    def go(self, up: bool) -> None:
        """Connect or cut; what hangs on the link ends now."""
        self.up = up
        self.agent.touch()

    async def deliver(self, commands: Sequence[Command]) -> list[Receipt]:
        self._reach()
        self.agent.commands += commands
        receipts = [self.agent.decide(command) for command in commands]
        self.agent.touch()
        return receipts

    async def confirm(self, confirmation: Confirmation) -> Receipt:
        self._reach()
        return self.agent.confirm(confirmation)

    async def drain(self, order: DrainOrder) -> Receipt:
        self._reach()
        return self.agent.drain(order)

    async def grant(self, grant: HealthGrant) -> Receipt:
        self._reach()
        return Receipt(grant.site, self.agent.generation, "stale")

    async def quarantine(self, remembered: NewerJournal) -> Receipt:
        self._reach()
        return self.agent.quarantine(remembered)

    async def status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        self._reach()
        if self.agent.version <= after and wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for may swallow a cancellation (CPython 3.11)
                    await self.agent.changed.wait()
        self._reach()
        return self.agent.status()

    async def adj_rib_out(self) -> list[RibRow]:
        return []

    async def close(self) -> None:
        """Nothing is open."""

    def _reach(self) -> None:
        if not self.up:
            raise TransportUnreachableError(f"the agent of {self.agent.site} cannot be reached")

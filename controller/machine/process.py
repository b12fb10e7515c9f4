"""``herald machine``: holds its bindings as ``local`` routes of its own namespace, and acknowledges them.

A set is acknowledged when it is in the kernel *and* on disk. On a restart the disk is read first, and the
routes are put back before anybody can ask. Stopping removes nothing. Now and then it looks whether the kernel
still has its routes, and puts back what has gone; what cannot be put back it reports absent, as it does with
what ``PUT /absences`` tells it (:mod:`controller.machine.absence`).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NoReturn

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from controller.logs import configure_logging
from controller.machine.absence import Absences, lost_of, wrong_report
from controller.machine.bindings import refusal, routes_for
from controller.machine.errors import MachineError
from controller.machine.journal import read_bindings, write_bindings
from controller.machine.kernel_routes import read_routes, set_routes
from controller.machine.routes import MACHINE_PROTOCOL
from controller.transport.errors import TransportGarbledError
from controller.transport.http_server import json_response, problem, read_body, serve_app
from controller.transport.messages import AbsenceReport, BindingAck, BindingSet

LOOK_EVERY_S = 30.0
"""Seconds between two looks at the kernel's routes."""

log = structlog.get_logger()


class Machine:
    """One machine: what it holds, and the one way in which that changes."""

    def __init__(self, name: str, journal: Path) -> None:
        self.name = name
        self._journal = journal
        self._held = read_bindings(journal)
        self._absences = Absences()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Put the routes of the set on disk into the kernel."""
        await set_routes(routes_for(self._held), MACHINE_PROTOCOL, local=True)

    def ack(self) -> BindingAck:
        """Return what is held."""
        absent = self._absences.among(self._held, time.monotonic())
        return BindingAck(self.name, self._held.generation, self._held.hash, absent)

    def hear(self, report: AbsenceReport) -> None:
        """Take in what somebody who knows says is absent here. It is not kept over a restart."""
        self._absences = self._absences.hear(report, time.monotonic())
        log.info("told what is absent", absent=len(report.absent), for_s=report.for_s)

    async def look(self) -> None:
        """Put back what has gone from the kernel, and note what cannot be; raises :class:`MachineError`."""
        async with self._turn:
            wanted = routes_for(self._held)
            kernel = await read_routes(MACHINE_PROTOCOL, local=True)
            if not wanted <= kernel:
                log.warning("routes had gone from the kernel", routes=len(wanted - kernel))
                await set_routes(wanted, MACHINE_PROTOCOL, local=True)
                kernel = await read_routes(MACHINE_PROTOCOL, local=True)
            lost = lost_of((r.prefix for r in wanted), (r.prefix for r in kernel))
            self._absences = Absences(self._absences.told, lost)

    async def keep_looking(self) -> NoReturn:
        """Look for ever; a look that fails knows nothing, and says nothing."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except MachineError as error:
                log.warning("cannot look at the kernel's routes", reason=str(error))
                self._absences = Absences(self._absences.told)

    async def take(self, offered: BindingSet) -> str | None:
        """Hold ``offered``; return why not, if so. Raises :class:`MachineError` when it cannot be done."""
        async with self._turn:
            reason = refusal(self._held, offered)
            if reason is not None:
                return reason
            # More first, on disk before less: whatever happens in between, nothing that is held is missing.
            await set_routes(routes_for(self._held) | routes_for(offered), MACHINE_PROTOCOL, local=True)
            if offered != self._held:
                await asyncio.to_thread(write_bindings, self._journal, offered)
                self._held = offered
            await set_routes(routes_for(offered), MACHINE_PROTOCOL, local=True)
            log.info("bindings held", generation=offered.generation, bindings=len(offered.bindings))
            return None


def machine_app(machine: Machine) -> Starlette:
    """Return the machine's HTTP application."""

    async def put_bindings(request: Request) -> Response:
        try:
            offered = await read_body(request, BindingSet)
        except TransportGarbledError as error:
            return problem(400, str(error))
        try:
            reason = await machine.take(offered)
        except MachineError as error:
            log.warning("bindings not held", reason=str(error))
            return problem(503, str(error))
        if reason is not None:
            held = machine.ack()
            return problem(409, f"{reason}; held: generation {held.generation}, hash {held.hash[:12]}")
        return json_response(machine.ack())

    async def get_bindings(_: Request) -> Response:
        return json_response(machine.ack())

    async def put_absences(request: Request) -> Response:
        try:
            report = await read_body(request, AbsenceReport)
        except TransportGarbledError as error:
            return problem(400, str(error))
        wrong = wrong_report(report)
        if wrong is not None:
            return problem(400, wrong)
        machine.hear(report)
        return json_response(machine.ack())

    return Starlette(
        routes=[
            HttpRoute("/bindings", put_bindings, methods=["PUT"]),
            HttpRoute("/bindings", get_bindings, methods=["GET"]),
            HttpRoute("/absences", put_absences, methods=["PUT"]),
        ]
    )


async def serve_machine(name: str, state_dir: Path, socket: Path) -> None:
    """Run a machine until SIGTERM; ``state_dir`` is there."""
    machine = Machine(name, state_dir / "bindings.json")
    await machine.start()
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(machine.keep_looking(), name="looking")
        await serve_app(machine_app(machine), socket=socket, ready=lambda: print("ready", flush=True))
        looking.cancel()


def run_machine(site: str, name: str, state_dir: Path, socket: Path) -> None:
    """``herald machine``; raises a HeraldError when it cannot start."""
    configure_logging(f"machine {site}/{name}")
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(serve_machine(name, state_dir, socket))

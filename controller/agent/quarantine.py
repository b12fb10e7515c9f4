"""An agent that must not go on: it says why, and touches neither speaker nor machines until it is released.

Whose journal is behind what was reached goes on from that journal; whose journal is damaged begins another
one, and what its speaker has stands (``salvage``). Both by a record that the operators signed.
"""

from __future__ import annotations

import socket as sockets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from controller.agent.break_glass import begin_again, release
from controller.agent.config import AgentConfig
from controller.agent.ending import Ending
from controller.agent.epoch import Reached, behind, reached
from controller.agent.epoch_file import EpochFile
from controller.agent.errors import JournalError
from controller.agent.journal import Journal
from controller.agent.journal_records import JournalState, replay, sound_records
from controller.agent.override import OverrideRefusedError
from controller.agent.policy import FLOOR
from controller.agent.report import Report
from controller.agent.salvage import of_another_site, salvaged
from controller.transport.errors import TransportGarbledError
from controller.transport.http_server import json_response, problem, read_body, serve_app
from controller.transport.messages import Brought, Command, Done, Receipt, SiteStatus

LONGEST_WAIT_S = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Of one site's agent; each method returns the journal to go on with, or None after SIGTERM."""

    site: str
    state_dir: Path
    listener: sockets.socket
    config: AgentConfig
    memory: EpochFile
    ending: Ending

    async def behind(self, journal: Journal, known: Reached | None) -> Journal | None:
        """Hold a journal up that is behind what is ``known`` to have been reached, until it is released."""
        fault = behind(journal.state, known)
        if known is None or fault is None:
            return journal

        def done(text: str) -> list[str]:
            return release(text, journal, self.config, FLOOR, known)

        return journal if await self._serve(fault, journal.state, done) else None

    async def damaged(self, fault: str) -> Journal | None:
        """Hold a damaged journal up, until it is released: another one begins in its place.

        Raises :class:`JournalError` when it cannot be read at all.
        """
        try:
            data = (self.state_dir / "journal").read_bytes()
        except OSError as error:
            raise JournalError(f"the damaged journal cannot be read: {error.strerror}") from error
        known = self.memory.read() or reached(replay(sound_records(data)))
        kept = salvaged(data, self.site, known.generation)
        other = of_another_site(data, self.site)
        begun: list[Journal] = []

        def done(text: str) -> list[str]:
            if other:
                raise OverrideRefusedError(f"release refused: this is the journal of {other}: put ours back")
            journal, said = begin_again(text, self.state_dir, kept, self.config, FLOOR, known=known)
            begun.append(journal)
            return said

        return begun[0] if await self._serve(fault, kept, done) else None

    async def _serve(self, fault: str, state: JournalState, done: Callable[[str], list[str]]) -> bool:
        """Serve until SIGTERM (False), or until ``done`` has taken a record in."""
        log.error("quarantined", reason=fault)
        status = SiteStatus(
            site=self.site,
            version=0,
            generation=state.generation,
            epoch=f"{state.epoch}:{state.serial}",
            accounts={},
            settled=False,
            speaker=self.config.speaker.kind,
            speaker_up=False,
            sent={},
            machines=(),
            fault=fault,
        )
        report, taken = Report(status, new_version()), list[str]()
        await serve_app(
            self._app(fault, report, done, taken),
            socket=self.listener,
            ready=ready,
            on_stop=report.wake,
            stop=self.ending.next(),
        )
        if taken:
            log.warning("released from quarantine")
        return bool(taken)

    def _app(
        self, fault: str, report: Report, done: Callable[[str], list[str]], taken: list[str]
    ) -> Starlette:
        async def commands(request: Request) -> Response:
            try:
                given = await read_body(request, list[Command])
            except TransportGarbledError as error:
                return problem(400, str(error))
            why = f"quarantined: {fault}"
            return json_response([Receipt(self.site, c.generation, "refused", why) for c in given])

        async def adj_rib_out(_: Request) -> Response:
            return problem(503, f"quarantined: {fault}")

        async def release_it(request: Request) -> Response:
            if taken:
                return problem(409, "it was released already")
            try:
                said = done((await read_body(request, Brought)).text)
            except TransportGarbledError as error:
                return problem(400, str(error))
            except OverrideRefusedError as error:
                log.warning("release refused", reason=str(error))
                return problem(403, str(error))
            except JournalError as error:
                return problem(503, str(error))
            taken.extend(said)
            self.ending.soon()
            return json_response(Done(tuple(said), ""))

        return Starlette(
            routes=[
                HttpRoute("/commands", commands, methods=["POST"]),
                HttpRoute("/release-quarantine", release_it, methods=["POST"]),
                status_route(report),
                HttpRoute("/adj-rib-out", adj_rib_out, methods=["GET"]),
            ]
        )


def new_version() -> int:
    """Return the first version of a report: above every one of an earlier life.

    Should the clock have gone back, a long poll ends by its wait.
    """
    return time.time_ns() // 1_000_000


def status_route(report: Report, heard: Callable[[], None] = lambda: None) -> HttpRoute:
    """Return the route that shows a report; ``heard`` is called when the controller asks."""

    async def status(request: Request) -> Response:
        if "wait" in request.query_params:  # only the controller waits; a person who looks is not it
            heard()
        try:
            after = int(request.query_params.get("after", "-1"))
            wait_s = float(request.query_params.get("wait", "0"))
        except ValueError:
            return problem(400, "after is a version, and wait a number of seconds: /status?after=1&wait=5")
        return json_response(await report.after(after, min(wait_s, LONGEST_WAIT_S)))

    return HttpRoute("/status", status, methods=["GET"])


def ready() -> None:
    """Say that the agent answers."""
    print("ready", flush=True)

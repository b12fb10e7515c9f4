"""``herald agent``: one site's process; HTTP on a unix socket.

``POST /commands`` (list of Command → list of Receipt), ``GET /status?after=VERSION&wait=SECONDS``
(SiteStatus), ``GET /adj-rib-out`` (list of RibRow; 503 while the speaker cannot be reached),
``POST /confirmations`` (Confirmation → Receipt), ``POST /health-grants`` (HealthGrant → Receipt),
``POST /drains`` (DrainOrder → Receipt). For people, with everything else gone: ``POST /overrides`` and
``POST /emergencies`` (Brought → Done; 403 with the reason when refused), ``GET /overrides`` (what was
brought).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from controller.agent.break_glass import release
from controller.agent.clock import reading
from controller.agent.config import AgentConfig, read_agent_config
from controller.agent.epoch import behind
from controller.agent.epoch_file import EpochFile
from controller.agent.errors import JournalDamagedError, JournalError
from controller.agent.journal import Journal
from controller.agent.override import OverrideRefusedError
from controller.agent.policy import FLOOR
from controller.agent.policy_file import read_policy
from controller.agent.report import Report
from controller.agent.site import Site, make_speaker
from controller.logs import configure_logging
from controller.snapshots.model import DamagedChunkError
from controller.speakers.protocol import SpeakerError
from controller.transport.errors import TransportGarbledError
from controller.transport.http_server import json_response, problem, read_body, serve_app
from controller.transport.messages import (
    Brought,
    Command,
    Confirmation,
    Done,
    DrainOrder,
    HealthGrant,
    Receipt,
    SiteStatus,
)

LONGEST_WAIT_S = 60.0

RELEASED_AFTER_S = 0.1
"""Seconds between the answer to a release and the agent's going on: the answer is to be out by then."""

log = structlog.get_logger()


def run_agent(site: str, state_dir: Path, socket: Path, config: Path | AgentConfig) -> None:
    """``herald agent``, until SIGTERM; raises a HeraldError when it cannot start.

    With a damaged journal, or one that is older than what was reached, it runs quarantined: it touches
    neither speaker nor machines, and says so.
    """
    configure_logging(f"agent {site}")
    read = config if isinstance(config, AgentConfig) else read_agent_config(config)
    asyncio.run(_serve(site, state_dir, socket, read))


async def _serve(site: str, state_dir: Path, socket: Path, config: AgentConfig) -> None:
    # Above every version of an earlier life; should the clock have gone back, a long poll ends by its wait.
    first_version = time.time_ns() // 1_000_000
    try:
        journal = Journal.open(state_dir, site)
        memory = EpochFile(Path(config.epoch_dir) if config.epoch_dir else socket.parent, site)
        fault = behind(journal.state, memory.read())
        if fault is not None:
            log.error("quarantined", reason=fault)
            if not await _serve_quarantined(
                site, socket, config, fault, first_version=first_version, journal=journal
            ):
                return
            log.warning("released from quarantine")
            first_version = max(first_version + 1, time.time_ns() // 1_000_000)
        memory.write(journal.state)
        journal.appended = memory.write
        policy, again_s = read_policy(config, journal, reading())
        here = Site(journal, config, make_speaker(config), first_version, policy)
    except (JournalDamagedError, DamagedChunkError) as error:
        log.error("quarantined", reason=str(error))  # noqa: TRY400 - one line says it all
        await _serve_quarantined(site, socket, config, str(error), first_version=first_version)
        return
    work = asyncio.create_task(here.run(), name="site")
    if again_s is not None:
        asyncio.get_running_loop().call_later(
            again_s, lambda: here.set_policy(read_policy(config, journal, reading())[0])
        )
    stop = asyncio.create_task(
        serve_app(agent_app(here), socket=socket, ready=_ready, on_stop=here.report.wake), name="http"
    )
    try:
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, stop):
            task.cancel()
        results = await asyncio.gather(work, stop, return_exceptions=True)
        journal.close()
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


def agent_app(site: Site) -> Starlette:
    """Return the agent's HTTP application."""

    async def commands(request: Request) -> Response:
        try:
            given = await read_body(request, list[Command])
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.commands(given))

    async def adj_rib_out(_: Request) -> Response:
        try:
            return json_response(await site.adj_rib_out())
        except SpeakerError as error:
            return problem(503, str(error))

    async def confirmations(request: Request) -> Response:
        try:
            given = await read_body(request, Confirmation)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.confirm(given))

    async def health_grants(request: Request) -> Response:
        try:
            given = await read_body(request, HealthGrant)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.grant(given))

    async def drains(request: Request) -> Response:
        try:
            given = await read_body(request, DrainOrder)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.drain(given))

    def bringing(do: Callable[[str], Done]) -> Callable[[Request], Awaitable[Response]]:
        async def bring(request: Request) -> Response:
            try:
                return json_response(do((await read_body(request, Brought)).text))
            except TransportGarbledError as error:
                return problem(400, str(error))
            except OverrideRefusedError as error:
                return problem(403, str(error))
            except JournalError as error:
                return problem(503, str(error))

        return bring

    async def decided(_: Request) -> Response:
        return json_response(site.decided())

    return Starlette(
        routes=[
            HttpRoute("/commands", commands, methods=["POST"]),
            HttpRoute("/confirmations", confirmations, methods=["POST"]),
            HttpRoute("/health-grants", health_grants, methods=["POST"]),
            HttpRoute("/drains", drains, methods=["POST"]),
            HttpRoute("/overrides", bringing(site.override), methods=["POST"]),
            HttpRoute("/overrides", decided, methods=["GET"]),
            HttpRoute("/emergencies", bringing(site.emergency), methods=["POST"]),
            _status_route(site.report, site.heard_of_the_controller),
            HttpRoute("/adj-rib-out", adj_rib_out, methods=["GET"]),
        ]
    )


async def _serve_quarantined(
    site: str,
    socket: Path,
    config: AgentConfig,
    fault: str,
    *,
    first_version: int,
    journal: Journal | None = None,
) -> bool:
    """Serve, touching neither speaker nor machines, until SIGTERM; True: until ``journal`` is released."""
    status = SiteStatus(
        site=site,
        version=0,
        generation=0 if journal is None else journal.state.generation,
        epoch="" if journal is None else f"{journal.state.epoch}:{journal.state.serial}",
        accounts={},
        settled=False,
        speaker=config.speaker.kind,
        speaker_up=False,
        sent={},
        machines=(),
        fault=fault,
    )
    report = Report(status, first_version)

    async def commands(request: Request) -> Response:
        try:
            given = await read_body(request, list[Command])
        except TransportGarbledError as error:
            return problem(400, str(error))
        why = f"quarantined: {fault}"
        return json_response([Receipt(site, command.generation, "refused", why) for command in given])

    async def adj_rib_out(_: Request) -> Response:
        return problem(503, f"quarantined: {fault}")

    released = asyncio.Event()

    async def release_it(request: Request) -> Response:
        if journal is None:
            return problem(409, f"the journal itself must be put back first: {fault}")
        try:
            text = (await read_body(request, Brought)).text
            done = release(text, journal, config, FLOOR)
        except TransportGarbledError as error:
            return problem(400, str(error))
        except OverrideRefusedError as error:
            log.warning("release refused", reason=str(error))
            return problem(403, str(error))
        except JournalError as error:
            return problem(503, str(error))
        asyncio.get_running_loop().call_later(RELEASED_AFTER_S, released.set)
        return json_response(Done(tuple(done), ""))

    app = Starlette(
        routes=[
            HttpRoute("/commands", commands, methods=["POST"]),
            HttpRoute("/release-quarantine", release_it, methods=["POST"]),
            _status_route(report),
            HttpRoute("/adj-rib-out", adj_rib_out, methods=["GET"]),
        ]
    )
    server = asyncio.create_task(
        serve_app(app, socket=socket, ready=_ready, on_stop=report.wake), name="http"
    )
    freed = asyncio.create_task(released.wait(), name="released")
    try:
        await asyncio.wait({server, freed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        report.wake()
        for task in (server, freed):
            task.cancel()
        results = await asyncio.gather(server, freed, return_exceptions=True)
    if isinstance(results[0], BaseException) and not isinstance(results[0], asyncio.CancelledError):
        raise results[0]
    return released.is_set()


def _status_route(report: Report, heard: Callable[[], None] = lambda: None) -> HttpRoute:
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


def _ready() -> None:
    print("ready", flush=True)

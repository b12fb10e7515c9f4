"""``herald agent``: one site's process; HTTP on a unix socket.

``POST /commands`` (list of Command → list of Receipt), ``GET /status?after=VERSION&wait=SECONDS``
(SiteStatus), ``GET /adj-rib-out`` (list of RibRow; 503 while the speaker cannot be reached),
``POST /confirmations`` (Confirmation → Receipt), ``POST /health-grants`` (HealthGrant → Receipt),
``POST /drains`` (DrainOrder → Receipt), ``POST /registry`` (RegistryNews → Receipt), ``POST /quarantine``
(NewerJournal → Receipt: the controller remembers a newer one). For people, with everything else gone:
``POST /overrides`` and ``POST /emergencies`` (Brought → Done; 403 with the reason when refused), ``GET
/overrides`` (what was brought).
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from controller.agent.clock import reading
from controller.agent.config import AgentConfig, read_agent_config
from controller.agent.ending import Ending
from controller.agent.epoch import Reached
from controller.agent.epoch_file import EpochFile
from controller.agent.errors import JournalDamagedError, JournalError
from controller.agent.journal import Journal
from controller.agent.override import OverrideRefusedError
from controller.agent.policy_file import read_policy
from controller.agent.quarantine import Quarantine, new_version, ready, status_route
from controller.agent.site import Site, make_speaker
from controller.logs import configure_logging
from controller.snapshots.model import DamagedChunkError
from controller.speakers.protocol import SpeakerError
from controller.transport.errors import TransportGarbledError
from controller.transport.http_server import json_response, listening, problem, read_body, serve_app
from controller.transport.messages import (
    Brought,
    Command,
    Confirmation,
    Done,
    DrainOrder,
    HealthGrant,
    NewerJournal,
    RegistryNews,
)


def run_agent(site: str, state_dir: Path, socket: Path, config: Path | AgentConfig) -> None:
    """``herald agent``, until SIGTERM; raises a HeraldError when it cannot start.

    With a damaged journal, or one that is older than what was reached, it runs quarantined: it touches
    neither speaker nor machines, and says so.
    """
    configure_logging(f"agent {site}")
    read = config if isinstance(config, AgentConfig) else read_agent_config(config)
    memory = EpochFile(Path(read.epoch_dir) if read.epoch_dir else socket.parent, site)
    with listening(socket) as listener:
        asyncio.run(_serve(site, state_dir, listener, read, memory))


async def _serve(
    site: str, state_dir: Path, listener: sockets.socket, config: AgentConfig, memory: EpochFile
) -> None:
    ending = Ending()
    quarantine = Quarantine(site, state_dir, listener, config, memory, ending)
    opened: Journal | None
    try:
        opened = await quarantine.behind(Journal.open(state_dir, site), memory.read())
    except JournalDamagedError as error:
        opened = await quarantine.damaged(str(error))
    while opened is not None:
        journal = opened
        memory.write(journal.state)
        journal.appended = memory.write
        policy, again_s = read_policy(config, journal, reading())
        try:
            here = Site(journal, config, make_speaker(config), new_version(), policy)
        except DamagedChunkError as error:
            journal.close()
            opened = await quarantine.damaged(str(error))
            continue
        if again_s is not None:
            asyncio.get_running_loop().call_later(again_s, _read_policy_again, here, config, journal)
        known = await _serve_site(here, listener, ending)
        if known is None:
            journal.close()
            return
        journal.appended = lambda _: None
        memory.keep(known)
        opened = await quarantine.behind(journal, known)


def _read_policy_again(here: Site, config: AgentConfig, journal: Journal) -> None:
    here.set_policy(read_policy(config, journal, reading())[0])


async def _serve_site(here: Site, listener: sockets.socket, ending: Ending) -> Reached | None:
    """Serve a site until SIGTERM; or until the controller tells of a newer journal: return that."""
    stop = ending.next()
    here.told_of.add_done_callback(lambda _: ending.soon())
    work = asyncio.create_task(here.run(), name="site")
    http = asyncio.create_task(
        serve_app(agent_app(here), socket=listener, ready=ready, on_stop=here.report.wake, stop=stop),
        name="http",
    )
    try:
        await asyncio.wait({work, http}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, http):
            task.cancel()
        results = await asyncio.gather(work, http, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
    return here.told_of.result() if here.told_of.done() else None


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

    async def quarantine(request: Request) -> Response:
        try:
            given = await read_body(request, NewerJournal)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.quarantine(given))

    async def drains(request: Request) -> Response:
        try:
            given = await read_body(request, DrainOrder)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.drain(given))

    async def registry(request: Request) -> Response:
        try:
            given = await read_body(request, RegistryNews)
        except TransportGarbledError as error:
            return problem(400, str(error))
        return json_response(site.enrol(given))

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
            HttpRoute("/quarantine", quarantine, methods=["POST"]),
            HttpRoute("/drains", drains, methods=["POST"]),
            HttpRoute("/registry", registry, methods=["POST"]),
            HttpRoute("/overrides", bringing(site.override), methods=["POST"]),
            HttpRoute("/overrides", decided, methods=["GET"]),
            HttpRoute("/emergencies", bringing(site.emergency), methods=["POST"]),
            status_route(site.report, site.heard_of_the_controller),
            HttpRoute("/adj-rib-out", adj_rib_out, methods=["GET"]),
        ]
    )

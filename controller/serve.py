"""``herald serve``: puts store, API, roll-outs and observation together, and ends them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from controller.guard.policy_file import read_policy
from controller.logs import configure_logging
from controller.observe.rib import RibRow
from controller.safety.policy import Policy
from controller.serve_front import Front, ServeError
from controller.validation.config import ValidationConfig, read_config

if TYPE_CHECKING:
    from fastapi import APIRouter

    from controller.addressing.validator import Validator
    from controller.observe.looking import Looker
    from controller.rollout.driver import Driver
    from controller.rollout.leading import Leading
    from controller.rollout.signals import Signals
    from controller.rollout.watchers import Watchers
    from controller.store import Store
    from controller.tasks.runner import Runner
    from controller.transport.protocol import SiteLink

log = structlog.get_logger()

__all__ = ["Front", "RibObserver", "ServeError", "run_serve", "split_listen"]


@dataclass(frozen=True, slots=True)
class Told:
    """What ``herald serve`` was told: see :func:`run_serve`."""

    state_dir: Path
    socket: Path | None
    host: str | None
    port: int | None
    sites: Mapping[str, str]
    inventory: Path | None
    validation: ValidationConfig | None
    front: Front
    lab: bool
    database: str | None
    policy: Policy


def run_serve(
    *,
    state_dir: Path,
    socket: Path | None,
    listen: str | None,
    sites: Mapping[str, str],
    inventory: Path | None,
    validation: Path | None = None,
    front: Front | None = None,
    lab: bool = False,
    database: str | None = None,
    policy: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; prints ``ready`` once requests are accepted.

    ``listen`` is ``HOST:PORT``; give it or ``socket``. ``sites`` maps a site's name to its agent's address
    (a socket's path or ``http://HOST:PORT``). ``validation``: the file of sources
    (:class:`controller.validation.config.ValidationConfig`); without it no check is done. ``front``: TLS and
    rates. ``lab``: webhooks may go to loopback and private addresses, and all that accounts are told is also
    in ``STATE_DIR/notifications``. ``database``: the store's path or URL, ``herald.db`` in the state
    directory if None. ``policy``: the guards' policy file (:mod:`controller.safety.policy`); production's
    defaults without it. Ending withdraws nothing, and what was begun goes on at the next start.

    Raises :class:`ServeError`, or another :class:`~controller.errors.HeraldError` when the database, the
    address or a file cannot be used.
    """
    if (socket is None) == (listen is None):
        raise ServeError("give either --socket PATH or --listen HOST:PORT")
    host, port = (None, None) if listen is None else split_listen(listen)
    front = front or Front()
    front.check(host)
    configure_logging("serve")
    sources = None if validation is None else read_config(validation)
    guards = Policy() if policy is None else read_policy(policy)
    told = Told(state_dir, socket, host, port, sites, inventory, sources, front, lab, database, guards)
    asyncio.run(_serve(told))


def split_listen(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (IPv6 hosts in brackets); raises :class:`ServeError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) < 2**16:
        raise ServeError(f"{listen!r} is no HOST:PORT, such as 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _serve(told: Told) -> None:
    from controller.addressing.app import create_app  # noqa: PLC0415 (slow to import; serve alone needs them)
    from controller.addressing.auth import bootstrap_operator  # noqa: PLC0415
    from controller.addressing.intents import open_intent_service  # noqa: PLC0415
    from controller.addressing.validator import Validator  # noqa: PLC0415
    from controller.notifications import Notifications  # noqa: PLC0415
    from controller.rollout.view import StoreView  # noqa: PLC0415
    from controller.store import open_store  # noqa: PLC0415
    from controller.tasks import declared, routes, runner  # noqa: PLC0415
    from controller.transport.http import HttpSiteLink  # noqa: PLC0415
    from controller.transport.http_server import serve_app  # noqa: PLC0415

    tls = told.front.open()
    store = open_store(told.database or told.state_dir / "herald.db")
    try:
        log.info("store", kind=store.address.kind, address=str(store.address))
        bootstrap_operator(store, told.state_dir / "operator.token", datetime.now(UTC))
        links = {site: HttpSiteLink(site, address) for site, address in told.sites.items()}
        intents = open_intent_service(told.state_dir / "intent.key")
        looker = _looker(told.inventory)
        gatekeeper = _watchers(
            told, store, links, looker, policy=lambda: driver.policy, keys=intents.public_keys
        )
        driver = _driver(told, store, links, gatekeeper, intents.public_keys)
        view = StoreView(
            store,
            lambda: [f.view for f in driver.sites.values()],
            None if told.inventory is None else RibObserver(told.inventory),
        )
        driver.on_change(view.forget)
        notifications = Notifications(store, view, told.state_dir, lab=told.lab)
        driver.on_change(notifications.something_moved)

        def queued(change_set_id: str) -> None:
            view.forget_all()
            driver.change_set_queued(change_set_id)

        validator = None if told.validation is None else Validator(store, told.validation)
        tasks = runner.Runner(store, declared.declared_tasks(), lambda: app, policy=lambda: driver.policy)
        app = create_app(
            store,
            view=view,
            sites=list(told.sites),
            on_change_set=queued,
            extra_routers=[*_routers(driver, looker), routes.build_tasks_router(tasks)],
            intents=intents,
            validation=validator,
            rates=told.front.rates(),
            on_write=_each(view.forget_all, notifications.bell.ring),
            webhook_policy=notifications.policy,
        )
        leading = await _lead(store, told, driver)
        notifications.start()
        rolling, keeping = _at_work(driver, leading)
        working = [
            rolling,
            keeping,
            *_supervised(tasks, validator, _signals(driver, looker, notifications.bell.ring)),
            *_migrating(driver, looker),
        ]
        stop = _stop_with(rolling, keeping)
        try:
            await serve_app(
                app,
                socket=told.socket,
                host=told.host,
                port=told.port,
                tls=tls,
                ready=_ready,
                stop=stop,
                on_stop=driver.release,
            )
        finally:
            for task in working:
                task.cancel()
            await asyncio.wait(working)
            await notifications.close()
            await driver.close()
            leading.close()
        _raise_of(keeping, rolling)
    finally:
        store.close()
    log.info("ended in order")


def _looker(inventory: Path | None) -> Looker | None:
    """Return whoever looks around sites; None where nothing says what there is to see."""
    from controller.observe.looking import Looker  # noqa: PLC0415

    return None if inventory is None else Looker(inventory)


def _watchers(
    told: Told,
    store: Store,
    links: Mapping[str, SiteLink],
    looker: Looker | None,
    *,
    policy: Callable[[], Policy],
    keys: Sequence[bytes],
) -> Watchers | None:
    """Return the gatekeeper of a controller that has observers."""
    from controller.rollout.baselines import Baselines  # noqa: PLC0415
    from controller.rollout.intended import Intended  # noqa: PLC0415
    from controller.rollout.watchers import Watchers  # noqa: PLC0415

    if looker is None:
        return None
    baselines = Baselines(told.state_dir / "gates")
    return Watchers(links, looker, Intended(store, keys), baselines, policy=policy)


def _signals(driver: Driver, looker: Looker | None, on_told: Callable[[], None]) -> Signals:
    """Return what tells the breaker of what is seen from day to day."""
    from controller.guard.signals import SignalledBreaker  # noqa: PLC0415
    from controller.rollout.intended import Intended  # noqa: PLC0415
    from controller.rollout.signals import Signals  # noqa: PLC0415

    breaker = SignalledBreaker(driver.store, driver.policy, on_told)
    intended = Intended(driver.store)
    return Signals(driver, breaker, intended.announced, looker, addresses=intended.addresses)


def _migrating(driver: Driver, looker: Looker | None) -> list[asyncio.Task[None]]:
    """Start looking for what migrations wait for, where there is somebody to look."""
    from controller.rollout.migrating import Migrating  # noqa: PLC0415
    from controller.rollout.supervise import keep_running  # noqa: PLC0415

    if looker is None:
        return []
    sightings = driver.guard.sightings
    watch = Migrating(driver.store, looker, sightings, driver.change_set_queued, lambda: driver.policy)
    return [asyncio.create_task(keep_running("migrations", watch.run), name="migrations")]


def _supervised(runner: Runner, validator: Validator | None, signals: Signals) -> list[asyncio.Task[None]]:
    """Start the task-runner, whoever looks, and the checks of prefixes where there are sources for them."""
    from controller.rollout.supervise import keep_running  # noqa: PLC0415

    started: list[asyncio.Task[None]] = [
        asyncio.create_task(keep_running("task-runner", runner.run), name="task-runner"),
        asyncio.create_task(keep_running("signals", signals.run), name="signals"),
    ]
    if validator is not None:
        started.append(asyncio.create_task(keep_running("validation", validator.run), name="validation"))
    return started


def _driver(
    told: Told,
    store: Store,
    links: Mapping[str, SiteLink],
    gatekeeper: Watchers | None,
    public_keys: Sequence[bytes],
) -> Driver:
    """Return the roll-outs' driver, with the guards by the policy that was told and the registry's key.

    ``public_keys``: those of the intent service.
    """
    from controller.addressing.registry import open_registry  # noqa: PLC0415
    from controller.guard.admission import Guard  # noqa: PLC0415
    from controller.rollout.driver import Driver  # noqa: PLC0415

    registry = open_registry(store, told.state_dir / "registry.key")
    guard = Guard(told.policy, public_keys)
    return Driver(store, links, gatekeeper=gatekeeper, guard=guard, registry=registry)


def _each(*calls: Callable[[], None]) -> Callable[[], None]:
    """Return what makes these calls: not every write that shows makes a change-set."""

    def call() -> None:
        for one in calls:
            one()

    return call


def _routers(driver: Driver, looker: Looker | None) -> list[APIRouter]:
    """Return the routes of what stands beside and below the Addressing API."""
    from controller.addressing.registry_routes import build_registry_router  # noqa: PLC0415
    from controller.drains.routes import build_drain_router  # noqa: PLC0415
    from controller.guard.routers import build_guard_routers  # noqa: PLC0415
    from controller.rollbacks import pin_routes  # noqa: PLC0415
    from controller.rollbacks import routes as rollback_routes  # noqa: PLC0415
    from controller.rollout.metrics import Metrics, build_metrics_router  # noqa: PLC0415
    from controller.rollout.rollout_routes import build_rollout_router  # noqa: PLC0415
    from controller.rollout.routes import build_router  # noqa: PLC0415
    from controller.rollout.snapshot_routes import build_snapshot_router  # noqa: PLC0415
    from controller.rollout.store_routes import build_store_router  # noqa: PLC0415

    over = (build_router, build_rollout_router, build_store_router, build_snapshot_router)
    built = (build(driver) for build in over)
    metrics = build_metrics_router(Metrics(driver, looker))
    guards = build_guard_routers(lambda: driver.guard.policy, driver.breaker.moved)
    drains = build_drain_router(driver, looker)
    registry = [] if driver.registry is None else [build_registry_router(driver.registry)]
    return [*built, metrics, *guards, drains, *registry, rollback_routes.router, pin_routes.router]


async def _lead(store: Store, told: Told, driver: Driver) -> Leading:
    """Wait to lead the controllers on this store, then start; ends in order on SIGTERM meanwhile."""
    import signal  # noqa: PLC0415

    from controller.rollout.leading import Leading  # noqa: PLC0415
    from controller.transport.http_server import refuse_taken  # noqa: PLC0415

    if told.socket is not None:
        refuse_taken(told.socket)  # one that stands by needs an address of its own
    leading = Leading(store, told.state_dir)
    waiting = asyncio.ensure_future(leading.wait_to_lead())
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, waiting.cancel)
    try:
        await waiting
    except asyncio.CancelledError:
        leading.close()
        raise SystemExit(0) from None
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)
    driver.lead_by(leading.fence)
    await driver.start()
    return leading


def _at_work(driver: Driver, leading: Leading) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
    """Start the roll-outs, and keeping the lease."""
    keeping = leading.keep(driver.highest_fence, driver.lead_by)
    return (
        asyncio.create_task(driver.run(), name="roll-outs"),
        asyncio.create_task(keeping, name="lease"),
    )


def _raise_of(*tasks: asyncio.Task[None]) -> None:
    """Raise what the first of ``tasks`` that failed raised."""
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _stop_with(*tasks: asyncio.Task[None]) -> asyncio.Event:
    """Return the event that ends the server: by SIGTERM, SIGINT, or because one of ``tasks`` ended."""
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    return stop


def _ready() -> None:
    print("ready", flush=True)


class RibObserver:
    """Reads the RIBs of all routers in an inventory; the file is read anew, since a lab may come up later."""

    def __init__(self, inventory: Path) -> None:
        self._path = inventory

    def __call__(self) -> tuple[Sequence[RibRow], int]:
        """Return all rows and the number of routers; raises :class:`~controller.errors.HeraldError`."""
        from controller.observe.inventory import read_inventory  # noqa: PLC0415
        from controller.observe.readers import read_ribs  # noqa: PLC0415

        found = read_inventory(self._path)
        return read_ribs(found), len(found.routers())

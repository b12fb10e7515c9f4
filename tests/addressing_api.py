"""The API on a real server, for tests: on a unix socket and a loopback port, with a store of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI
from sqlalchemy import func, select

from controller.addressing.app import create_app
from controller.addressing.auth import bootstrap_operator
from controller.addressing.intents import open_intent_service
from controller.addressing.life_policy import LifePolicy
from controller.addressing.policy import AddressPolicy
from controller.addressing.rates import Rates
from controller.addressing.validation_view import Validation
from controller.addressing.views import NullView, OperationalView
from controller.cli.client import Client
from controller.snapshots.tables import ChangeSetRow
from controller.store import Base, Store, open_store
from tests.stores import a_store

SITES = ("site1", "site2")


@dataclass
class Api:
    """A running API; ``woken`` are the ids of the change-sets that the driver was told of."""

    app: FastAPI
    store: Store
    token: str
    socket: Path
    port: int
    woken: list[str] = field(default_factory=list)

    def http(self, token: str | None = None) -> httpx.Client:
        """Return a plain HTTP client over TCP with a token (the operator's if left out)."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers)

    def client(self, token: str | None = None) -> Client:
        """Return Herald's own client over the unix socket."""
        return Client(f"unix:{self.socket}", token or self.token)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table: what a refused request must not change."""
        with self.store.read() as session:
            return {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
            }

    def change_sets(self) -> list[str]:
        """Return the ids of the change-sets in the outbox, oldest first."""
        with self.store.read() as session:
            return list(session.scalars(select(ChangeSetRow.id).order_by(ChangeSetRow.seq)))


@contextmanager
def running_api(
    folder: Path,
    *,
    view: OperationalView | None = None,
    extra_routers: Sequence[APIRouter] = (),
    routers_over: Callable[[Store], Sequence[APIRouter]] = lambda _: (),
    policy: AddressPolicy | None = None,
    rates: Rates | None = None,
    life: LifePolicy | None = None,
    validation: Validation | None = None,
) -> Iterator[Api]:
    """Serve the API until the block ends; ``routers_over`` makes more routers over its store."""
    store = open_store(a_store(folder / "herald.db"))
    token = bootstrap_operator(store, folder / "operator.token", datetime.now(UTC))
    woken: list[str] = []
    app = create_app(
        store,
        view=view or NullView(),
        sites=SITES,
        on_change_set=woken.append,
        extra_routers=[*extra_routers, *routers_over(store)],
        policy=policy,
        rates=rates,
        intents=open_intent_service(folder / "intent.key"),
        life=life,
        validation=validation,
    )
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else no TCP_NODELAY
    tcp.bind(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    path = folder / "api.sock"
    unix.bind(str(path))
    started = threading.Event()
    server = _Server(uvicorn.Config(app, log_config=None, lifespan="off"), started)
    thread = threading.Thread(target=server.run, args=([tcp, unix],), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield Api(app, store, token, path, tcp.getsockname()[1], woken)
    finally:
        server.should_exit = True
        thread.join(10)
        store.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._ready = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


def furnished(api: Api, *, cidr: str = "192.0.2.0/24", asn: int | None = None) -> dict[str, Any]:
    """Make account acme with an approved prefix bound to the CDN; return ids."""
    client = api.client()
    client.create_service("cdn", "CDN")
    client.create_account("Acme", id="acme")
    prefix = client.create_prefix("acme", cidr, asn=asn)
    client.approve_prefix("acme", prefix["id"])
    binding, _ = client.bind("acme", prefix["id"], cidr, "cdn")
    bgp = client.bgp_prefixes("acme", prefix["id"])[0]
    return {"prefix": prefix["id"], "bgp": bgp["id"], "binding": binding["id"], "cidr": cidr}

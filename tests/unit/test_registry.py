"""What the API issues as the registry: from whose a prefix is, with serials that only rise."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from fastapi import APIRouter

from controller.addressing.registry import RegistryIssuer, RegistryKeyError, open_registry
from controller.addressing.registry_routes import build_registry_router
from controller.addressing.registry_tables import RegistryEntryRow
from controller.rollout.driver import Driver
from controller.safety.registry import RegistryEntry, read_entry
from controller.store import Store
from controller.transport.http import HttpSiteLink
from controller.transport.messages import Command, Receipt, RegistryConflict, RegistryNews, SiteStatus
from controller.transport.protocol import SiteLink
from tests.addressing_api import running_api
from tests.command_line import speaker
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded
from tests.removal import BASE, admit, cast, refused

CIDR, OTHER = "198.18.0.0/22", "198.18.8.0/24"
NOW = datetime.now(UTC)


@pytest.fixture
def api(tmp_path: Path):
    def over(store: Store) -> list[APIRouter]:
        return [build_registry_router(open_registry(store, tmp_path / "registry.key"))]

    with running_api(tmp_path, routers_over=over) as running:
        yield running


@pytest.fixture
def play(api):
    with cast(api, CIDR) as made:
        yield made


@pytest.fixture
def herald(api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


@pytest.fixture
def issuer(api, tmp_path: Path) -> RegistryIssuer:
    return open_registry(api.store, tmp_path / "registry.key")


def issued(issuer: RegistryIssuer, account: str = "acme", now: datetime = NOW) -> RegistryEntry:
    text = issuer.issue([account], now)[account]
    return read_entry(text, account, (issuer.public_key,))


def listed(entry: RegistryEntry) -> list[str]:
    return [r.cidr for r in entry.registered]


def test_an_approved_prefix_makes_an_entry_and_an_onboarded_one_does_not(api, play, issuer) -> None:
    api.client().create_prefix("acme", OTHER, asn=64511)
    first = issued(issuer)
    assert listed(first) == [CIDR]
    assert first.registered[0].longest == 24
    play.another("198.18.9.0/24")
    assert listed(issued(issuer)) == [CIDR, "198.18.9.0/24"]
    assert listed(issued(issuer, "globex")) == []
    # Serials rise with changes, and with nothing else.
    first = issued(issuer)
    assert issued(issuer, now=NOW + timedelta(hours=1)).serial == first.serial
    play.another("198.18.10.0/24")
    second = issued(issuer, now=NOW - timedelta(days=1)).serial
    assert second == first.serial + 1, "a clock that went back does not lower it"
    with api.store.write() as session:  # as if the store had been restored from an older copy
        session.delete(session.get_one(RegistryEntryRow, "acme"))
    assert issued(issuer, now=NOW + timedelta(hours=1)).serial > second


def test_a_transfer_moves_the_entry(api, play, issuer) -> None:
    admit(api)
    made = play.owner.post(
        f"{play.path}/transfers", json={"to_account_id": "globex", "reason": "sold"}
    ).json()
    assert listed(issued(issuer)) == [CIDR]
    play.globex.post(f"/herald/v1/accounts/globex/transfers/{made['id']}/accept").raise_for_status()
    assert listed(issued(issuer)) == []
    taken = issued(issuer, "globex")
    assert listed(taken) == [CIDR]
    assert taken.revoked == ()


def test_a_legal_order_narrows_it_and_a_deletion_does_not(api, play, issuer, herald) -> None:
    body = {"kind": "legal_order", "account_id": "acme", "cidr": "198.18.1.0/24", "reason": "court"}
    play.operator.post("/herald/v1/revocations", json=body).raise_for_status()
    entry = issued(issuer)
    assert listed(entry) == [CIDR]
    assert [(r.cidr, r.why) for r in entry.revoked] == [
        ("198.18.1.0/24", "legal_order, entry 1 of the ledger")
    ]

    shown = herald("registry", "show", "--account", "acme")[0]
    assert shown["serial"] == entry.serial
    assert shown["registered"] == [{"cidr": CIDR, "longest": 24, "origins": [None]}]
    assert [r["cidr"] for r in shown["revoked"]] == ["198.18.1.0/24"]
    (key,) = herald("registry", "keys")[0]
    assert base64.b64decode(key["public_key"]) == issuer.public_key
    assert play.globex.get("/herald/v1/accounts/acme/registry").status_code in (403, 404)
    assert play.globex.get("/herald/v1/accounts/globex/registry").json()["registered"] == []

    play.ask_deletion()
    play.delete(play.prefix).raise_for_status()
    assert listed(issued(issuer)) == [CIDR], "an undelete or a rollback may bring it back"


def test_what_was_revoked_is_announced_anew_once_an_operator_approves_it_again(api, play, issuer) -> None:
    """Refused at once, and not by every site in the end; what is announced stays announced."""
    play.advertise()
    body = {"kind": "legal_order", "account_id": "acme", "cidr": "198.18.1.0/24", "reason": "court"}
    play.operator.post("/herald/v1/revocations", json=body).raise_for_status()
    play.advertise()
    play.advertise(advertised=False)
    answer = play.owner.patch(play.bgp, json={"on_demand": {"advertised": True}})
    refused(answer, 409, "revoked")
    assert "legal_order, entry 1 of the ledger: court" in answer.text

    approve = f"{BASE}/{play.prefix}/approve"
    refused(play.owner.post(approve, headers={"Herald-Reason": "ours"}), 403, "not_allowed")
    refused(play.operator.post(approve), 409, "approval_needs_reason", "/header/Herald-Reason")
    assert issued(issuer).revoked
    lifted = play.operator.post(approve, headers={"Herald-Reason": "The court lifted it"})
    assert lifted.status_code == 200, lifted.text
    assert issued(issuer).revoked == ()
    play.advertise()
    again = play.operator.post(approve)
    assert again.status_code == 200 and "Herald-Change-Set" not in again.headers, "nothing is left to lift"


def test_a_damaged_key_stops_the_start(api, tmp_path: Path, issuer) -> None:
    assert open_registry(api.store, tmp_path / "registry.key").public_key == issuer.public_key
    assert (tmp_path / "registry.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "registry.key").write_text("c2hvcnQ=")
    with pytest.raises(RegistryKeyError, match="put it back"):
        open_registry(api.store, tmp_path / "registry.key")


class Checking(MemoryLink):
    """An agent that checks the registry, and keeps in which order it was told what."""

    def __init__(self, agent: FakeAgent) -> None:
        super().__init__(agent)
        self.told: list[RegistryNews | Command] = []
        self.revocations = 0
        self.conflicts: tuple[RegistryConflict, ...] = (RegistryConflict("acme", None, "it has none"),)

    async def enrol(self, news: RegistryNews) -> Receipt:
        self.told.append(news)
        self.revocations = news.revocations
        return Receipt(news.site, 0, "accepted")

    async def deliver(self, commands: Sequence[Command]) -> list[Receipt]:
        self.told += commands
        self.agent.asked.set()
        return await super().deliver(commands)

    async def status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        found = await super().status(after, wait)
        return msgspec.structs.replace(
            found, registry="on", revocations=self.revocations, conflicts=self.conflicts
        )


async def roll_out(store: Store, link: SiteLink, issuer: RegistryIssuer, agent: FakeAgent) -> None:
    """Run the driver until the agent has got a command."""
    driver = Driver(store, {"site1": link}, guard=unguarded(), registry=issuer)
    await driver.start()
    running = asyncio.create_task(driver.run())
    try:
        async with asyncio.timeout(20):
            await agent.asked.wait()
    finally:
        running.cancel()
        await asyncio.wait([running])
        await driver.close()


def test_a_site_hears_of_revocations_before_anything_else_and_gets_what_it_lacks(
    api, play, issuer, tmp_path: Path
) -> None:
    body = {"kind": "legal_order", "account_id": "acme", "cidr": "198.18.1.0/24", "reason": "court"}
    play.operator.post("/herald/v1/revocations", json=body).raise_for_status()
    link = Checking(FakeAgent("site1", tmp_path / "a.sock"))
    asyncio.run(roll_out(api.store, link, issuer, link.agent))
    first, second, *rest = link.told
    assert isinstance(first, RegistryNews) and isinstance(second, RegistryNews)
    assert read_entry(first.entries["acme"], "acme", (issuer.public_key,)).revoked
    assert (first.revocations, second.entries.keys()) == (1, {"acme"}), "then what it lacks"
    assert any(isinstance(one, Command) for one in rest)


def test_the_entry_goes_with_the_accounts_commands(api, play, issuer, tmp_path: Path) -> None:
    async def over_http() -> str:
        async with FakeAgent("site1", tmp_path / "a.sock") as agent:
            link = HttpSiteLink("site1", str(agent.socket))
            await roll_out(api.store, link, issuer, agent)
            return agent.commands[-1].registry

    text = asyncio.run(over_http())
    assert listed(read_entry(text, "acme", (issuer.public_key,))) == [CIDR]

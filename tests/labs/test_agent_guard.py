"""The agent's own guard on real daemons: what it holds, and how people get past it with all else gone."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.addressing.intents import open_intent_service
from controller.agent.guard import change_hash
from controller.agent.override import Override, sign_override
from controller.bgp import Prefix
from controller.safety.intents import Intent, sign
from controller.safety.registry import Registered, RegistryEntry, sign_entry
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    PrefixObject,
    decode_chunk,
    encode_chunk,
    hash_chunk,
)
from controller.store import open_store
from controller.transport.http import HttpSiteLink
from controller.transport.messages import Command, Receipt, RegistryNews, SiteStatus
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from labs.runtimes.guard_keys import private_key

pytestmark = pytest.mark.lab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
FIRST, SECOND, THIRD = "192.0.2.0/24", "198.51.100.0/24", "2001:db8:1000::/48"
FOREIGN = Prefix("203.0.113.0/24")


@pytest.fixture
def lab(herald_lab: LabFactory) -> Iterator[LiveLab]:
    """A lab that nobody uses afterwards: its controller dies in it."""
    found = herald_lab(TOPOLOGY, HERALD_SPEAKER="exabgp", HERALD_SPEAKER_2="gobgp")
    found.spoiled = True
    for prefix in (FIRST, SECOND, THIRD):
        found.announce(prefix)
        found.wait_for_route(prefix)
    yield found
    found.spoiled = True


def state_of(lab: LiveLab, process: str) -> Path:
    return Path(lab.inventory.folder, "state", lab.inventory.instance, process)


def socket_of(lab: LiveLab, site: str) -> str:
    return next(s.agent_socket for s in lab.inventory.sites if s.name == site)


def status_of(lab: LiveLab, site: str) -> SiteStatus:
    async def ask() -> SiteStatus:
        link = HttpSiteLink(site, socket_of(lab, site))
        try:
            return await link.call("GET", "/status", SiteStatus)
        finally:
            await link.close()

    return asyncio.run(ask())


def deliver(lab: LiveLab, command: Command) -> Receipt:
    async def ask() -> Receipt:
        link = HttpSiteLink(command.site, socket_of(lab, command.site))
        try:
            return (await link.deliver([command]))[0]
        finally:
            await link.close()

    return asyncio.run(ask())


def herald(*words: str, status: int = 0) -> tuple[str, str]:
    """Run the shipped command; return what it printed and what it said of errors."""
    binary = str(Path(sys.executable).with_name("herald"))
    done = subprocess.run([binary, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def tighten(lab: LiveLab, site: str, text: str) -> None:
    Path(lab.inventory.runtime, "agent", f"{site}.policy.toml").write_text(text)
    lab.running.restart(f"agent:{site}")


def end_the_controller(lab: LiveLab) -> None:
    """Kill ``serve``, and take its database away."""
    lab.running.signal("serve", signal.SIGKILL)
    for file in state_of(lab, "serve").glob("herald.db*"):
        file.rename(file.with_name(f"gone-{file.name}"))


def from_site1(lab: LiveLab, prefix: str) -> bool:
    return any(row.from_ == "site1" for row in lab.node("t-bird").rib(prefix).get(prefix, []))


def held_by(lab: LiveLab, site: str, prefix: str) -> set[str]:
    return {h.check for h in status_of(lab, site).held if h.prefix == prefix}


def test_an_override_works_with_all_else_gone(lab: LiveLab, tmp_path: Path) -> None:
    tighten(lab, "site1", "budget = [{seconds = 600, number = 1}, {seconds = 86400, number = 20}]\n")
    lab.withdraw(FIRST)
    lab.wait_for_absence(FIRST)
    lab.ask(SECOND, advertised=False)
    lab.wait_until(lambda: held_by(lab, "site1", SECOND) == {"budget"}, what="site1 to hold it by its budget")
    assert from_site1(lab, SECOND)
    lab.wait_until(lambda: SECOND not in status_of(lab, "site2").sent, what="site2, whose budget has room")

    end_the_controller(lab)
    lab.running.restart("agent:site1")  # a restart gives nothing back
    lab.wait_until(
        lambda: bool(status_of(lab, "site1").sent) and held_by(lab, "site1", SECOND) == {"budget"},
        what="site1 to hold it after its restart",
    )
    agent = socket_of(lab, "site1")
    refuse_what_is_no_override(lab, agent, tmp_path)
    key = lab.inventory.break_glass_key
    text, _ = herald(
        "site", "sign-override", "--agent", agent, "--key", key, "--who", "ann", "--reason", "test"
    )
    file = tmp_path / "override"
    file.write_text(text)
    began = time.monotonic()
    herald("site", "override", str(file), "--agent", agent)
    lab.wait_until(lambda: not from_site1(lab, SECOND), what="t-bird to lose what the override let go")
    print(f"override to peer's RIB: {time.monotonic() - began:.3f} s")
    _, error = herald("site", "override", str(file), "--agent", agent, status=1)
    assert "nonce" in error, error
    outcomes = [
        row["outcome"] for row in json.loads(herald("site", "decisions", "--agent", agent, "--json")[0])
    ]
    assert outcomes == ["refused"] * 3 + ["accepted", "refused"]

    began = time.monotonic()
    words = ("--agent", agent, "--key", key, "--who", "ann", "--reason", "test")
    herald("site", "withdraw", THIRD, *words)
    lab.wait_until(lambda: not from_site1(lab, THIRD), what="t-bird to lose what the emergency withdrew")
    print(f"emergency withdrawal to peer's RIB: {time.monotonic() - began:.3f} s")
    lab.running.restart("agent:site1")
    lab.wait_until(lambda: status_of(lab, "site1").speaker_up, what="the agent to be back")
    assert THIRD not in status_of(lab, "site1").sent
    herald("site", "lift", THIRD, *words)
    lab.wait_until(lambda: from_site1(lab, THIRD), what="t-bird to have back what was lifted")


def refuse_what_is_no_override(lab: LiveLab, agent: str, folder: Path) -> None:
    """Forged, expired and mismatched ones do nothing, and each says why."""
    status = status_of(lab, "site1")
    ours = private_key(Path(lab.inventory.break_glass_key))
    soon = datetime.now(UTC) + timedelta(minutes=5)
    good = Override("site1", change_hash(status.held), status.nonce, soon, "eve", "because")
    wrong = {
        "none of the keys": (good, Ed25519PrivateKey.generate().private_bytes_raw()),
        "expired": (msgspec.structs.replace(good, expires_at=datetime(2026, 1, 1, tzinfo=UTC)), ours),
        "what is held here now is": (msgspec.structs.replace(good, change="0" * 64), ours),
    }
    for says, (record, key) in wrong.items():
        file = folder / "wrong"
        file.write_text(sign_override(record, key))
        _, error = herald("site", "override", str(file), "--agent", agent, status=1)
        assert says in error, error
    assert from_site1(lab, SECOND)


class Rogue:
    """A controller that has everything but the owner's word: the chunks, the generations, the sockets."""

    def __init__(self, lab: LiveLab, site: str) -> None:
        self.lab, self.site = lab, site
        self.account = str(lab.client.whose(FIRST).account_id)
        self.intents = open_intent_service(state_of(lab, "serve") / "intent.key")
        self.hash = status_of(lab, site).accounts[self.account]
        store = open_store(state_of(lab, "serve") / "herald.db")
        try:
            from controller.snapshots import store as snapshots

            with store.read() as session:
                self.chunk: Chunk = decode_chunk(snapshots.chunk_body(session, self.hash), self.hash)
        finally:
            store.close()

    def withdraw(self, *intents: str, confirm_within_s: float | None = None) -> Receipt:
        chunk = msgspec.structs.replace(
            self.chunk,
            bgp_prefixes=tuple(
                msgspec.structs.replace(b, advertised=b.advertised and b.cidr != FIRST)
                for b in self.chunk.bgp_prefixes
            ),
        )
        return self.send(chunk, intents, confirm_within_s)

    def send(
        self,
        chunk: Chunk,
        intents: tuple[str, ...] = (),
        confirm_within_s: float | None = None,
        fence: int | None = None,
    ) -> Receipt:
        data = encode_chunk(chunk)
        status = status_of(self.lab, self.site)
        return deliver(
            self.lab,
            Command(
                self.site,
                status.generation + 1,
                "rogue",
                self.account,
                status.accounts[self.account],
                hash_chunk(data),
                data,
                intents=intents,
                fence=status.fence if fence is None else fence,
                confirm_within_s=confirm_within_s,
            ),
        )

    def asked(self, *, by: str, forged: bool = False, expired: bool = False) -> str:
        now = datetime.now(UTC)
        begins = now - timedelta(hours=2 if expired else 0)
        intent = Intent(
            self.account,
            "withdraw",
            (FIRST,),
            None,
            None,
            issued_at=begins,
            not_before=begins,
            expires_at=begins + timedelta(hours=1),
            nonce=f"{time.time_ns():032x}",
            authority="owner" if by == "owner" else "operators",
            asked_by=("one",) if by == "owner" else ("one", "two"),
        )
        key = Ed25519PrivateKey.generate() if forged else self.intents._key
        return sign(intent, key)


def test_only_its_owner_takes_a_kept_prefix(lab: LiveLab) -> None:
    rogue = Rogue(lab, "site1")
    end_the_controller(lab)
    mark = lab.mark()
    assert rogue.send(rogue.chunk, fence=0).outcome == "stale"  # it does not lead
    forged, expired = rogue.asked(by="owner", forged=True), rogue.asked(by="owner", expired=True)
    assert rogue.withdraw(forged, expired).outcome == "accepted"
    lab.wait_until(lambda: held_by(lab, "site1", FIRST) == {"intents"}, what="site1 to hold it: nobody asked")
    assert rogue.withdraw(rogue.asked(by="operators")).outcome == "accepted"
    lab.wait_until(lambda: held_by(lab, "site1", FIRST) == {"keeper"}, what="site1, a keeper, to hold it")
    assert from_site1(lab, FIRST)
    assert not [e for e in lab.updates(FIRST, sender="site1", since=mark) if e.withdrawn]

    assert rogue.send(rogue.chunk).outcome == "accepted"  # announced again: nothing is held any more
    lab.wait_until(lambda: not held_by(lab, "site1", FIRST), what="nothing to be held")
    intent = rogue.asked(by="owner")
    assert rogue.withdraw(intent, confirm_within_s=1.0).outcome == "accepted"
    lab.wait_until(lambda: not from_site1(lab, FIRST), what="t-bird to lose what its owner withdrew")
    assert not held_by(lab, "site1", FIRST)
    lab.wait_until(lambda: from_site1(lab, FIRST), what="site1 to put back what nobody confirmed")
    assert status_of(lab, "site1").unconfirmed == {}

    assert rogue.withdraw(intent).outcome == "accepted"  # the same intent again
    lab.wait_until(
        lambda: held_by(lab, "site1", FIRST) == {"intents"}, what="a replayed intent to do nothing"
    )
    assert from_site1(lab, FIRST)


def test_what_is_not_registered_stays_and_nothing_goes_for_the_registry(lab: LiveLab) -> None:
    rogue = Rogue(lab, "site1")
    key = private_key(state_of(lab, "serve") / "registry.key")
    end_the_controller(lab)
    assert (status_of(lab, "site1").registry, status_of(lab, "site1").conflicts) == ("on", ())
    mark = lab.mark()

    def tell(*registered: Prefix, forged: bool = False) -> str:
        entry = RegistryEntry(
            rogue.account, time.time_ns(), tuple(Registered(cidr, 24, (None,)) for cidr in registered)
        )
        text = sign_entry(entry, Ed25519PrivateKey.generate().private_bytes_raw() if forged else key)
        status = status_of(lab, "site1")
        news = RegistryNews("site1", {rogue.account: text}, status.revocations, status.fence)

        async def ask() -> str:
            link = HttpSiteLink("site1", socket_of(lab, "site1"))
            try:
                return (await link.enrol(news)).outcome
            finally:
                await link.close()

        return asyncio.run(ask())

    chunk = rogue.chunk
    service = chunk.bindings[0].service_id
    wider = msgspec.structs.replace(
        chunk,
        prefixes=(*chunk.prefixes, PrefixObject("foreign", FOREIGN, None)),
        bindings=(*chunk.bindings, BindingObject("foreign", "foreign", FOREIGN, service)),
        bgp_prefixes=(
            *chunk.bgp_prefixes, BgpPrefixObject("foreign", "foreign", FOREIGN, None, advertised=True),
        ),
    )  # fmt: skip
    assert rogue.send(wider).outcome == "accepted"
    lab.wait_until(
        lambda: held_by(lab, "site1", FOREIGN) == {"registry"}, what="site1 to bar what is foreign"
    )
    assert tell(FOREIGN, forged=True) == "refused"
    assert tell() == "accepted"
    lab.wait_until(
        lambda: FIRST in {c.prefix for c in status_of(lab, "site1").conflicts}, what="the conflict to show"
    )
    assert from_site1(lab, FIRST)
    assert not lab.updates(FOREIGN, sender="site1", since=mark)

    assert tell(FOREIGN) == "accepted"  # nothing but the registry was in its way
    lab.wait_until(lambda: from_site1(lab, FOREIGN), what="t-bird to have what is covered now")
    assert not [e for e in lab.updates(FIRST, sender="site1", since=mark) if e.withdrawn]

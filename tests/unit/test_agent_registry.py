"""The registry at a site: the real process over HTTP, without any daemon."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.agent.config import AgentConfig, AgentKeys, SpeakerConfig
from controller.bgp import Prefix
from controller.cli.app import run
from controller.safety.registry import Registered, RegistryEntry, Revoked, sign_entry
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.transport.http import HttpSiteLink
from controller.transport.messages import Command, RegistryNews, SiteStatus

KEY, FORGER = b"r" * 32, b"f" * 32
FIRST, SECOND = Prefix("192.0.2.0/24"), Prefix("198.51.100.0/24")
BOTH = (Registered(FIRST, 24, (None,)), Registered(SECOND, 24, (None,)))


class Site:
    """The shipped agent on a folder; its speaker is not there. It keeps what it was given."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def announce(self, *cidrs: Prefix, registry: str = "") -> str:
        """Command the account's routes; return the outcome."""
        chunk = Chunk(
            "acc",
            tuple(PrefixObject(f"p{c}", c, None) for c in cidrs),
            tuple(BgpPrefixObject(f"g{c}", f"p{c}", c, None, advertised=True) for c in cidrs),
            tuple(BindingObject(f"b{c}", f"p{c}", c, "cdn") for c in cidrs),
        )
        data, now = encode_chunk(chunk), self.status()
        order = Command(
            "s1", now.generation + 1, "r", "acc", now.accounts.get("acc"), hash_chunk(data), data,
            registry=registry,
        )  # fmt: skip

        async def ask() -> str:
            link = HttpSiteLink("s1", str(self.socket))
            try:
                return (await link.deliver([order]))[0].outcome
            finally:
                await link.close()

        return asyncio.run(ask())

    def tell(self, registry: str, revocations: int) -> str:
        """Tell it what was revoked, without a command; return the outcome."""

        async def ask() -> str:
            link = HttpSiteLink("s1", str(self.socket))
            try:
                return (await link.enrol(RegistryNews("s1", {"acc": registry}, revocations))).outcome
            finally:
                await link.close()

        return asyncio.run(ask())

    def status(self) -> SiteStatus:
        async def ask() -> SiteStatus:
            link = HttpSiteLink("s1", str(self.socket))
            try:
                return await link.status()
            finally:
                await link.close()

        return asyncio.run(ask())

    def held(self) -> dict[Prefix, str]:
        """Return what the registry bars, and why."""
        return {
            h.prefix: h.reason for h in self.status().held if (h.check, h.verb) == ("registry", "announce")
        }

    def conflicts(self) -> dict[Prefix | None, str]:
        return {c.prefix: c.reason for c in self.status().conflicts}


@contextmanager
def site(folder: Path, *, keys: str | None = "registry") -> Iterator[Site]:
    """Run the agent; ``keys`` None: none of the registry; ``damaged``: a file that holds none."""
    socket = folder / "run" / "s1.sock"
    socket.parent.mkdir(exist_ok=True)
    file = folder / "keys.json"
    known = (Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw(),)
    file.write_bytes(msgspec.json.encode(AgentKeys(registry=known if keys else ())))
    if keys == "damaged":
        file.write_text("{")
    config = folder / "agent.json"
    speaker = SpeakerConfig("exabgp", str(folder / "none.sock"))
    config.write_bytes(msgspec.json.encode(AgentConfig(speaker, (), forward=False, keys=str(file))))
    binary = str(Path(sys.executable).with_name("herald"))
    words = ("agent", "--site", "s1", "--state-dir", str(folder / "state"), "--socket", str(socket))
    with subprocess.Popen(
        [binary, *words, "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield Site(socket)
        finally:
            process.terminate()


def entry(serial: int, *registered: Registered, revoked: tuple[Revoked, ...] = (), key: bytes = KEY) -> str:
    return sign_entry(RegistryEntry("acc", serial, registered, revoked), key)


def test_what_no_entry_covers_waits_and_what_was_let_out_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with site(tmp_path) as here:
        assert here.announce(FIRST, SECOND, registry=entry(5, BOTH[0])) == "accepted"
        assert here.status().registry == "on"
        assert here.held() == {SECOND: "nothing that is registered for account acc covers it"}
        assert here.conflicts() == {}
        capsys.readouterr()
        assert run(["site", "show", "--agent", str(here.socket)]) == 0
        shown = capsys.readouterr().out
        assert "registry" in shown and SECOND in shown, shown

    with site(tmp_path) as here:  # the newest serial outlives the process
        assert SECOND in here.held()
        assert here.announce(FIRST, SECOND, registry=entry(4, *BOTH)) == "accepted"
        assert SECOND in here.held(), "an older entry lets nothing out"
        assert "serial 4 is not newer than 5" in here.conflicts()[None]
        assert here.announce(FIRST, SECOND, registry=entry(9, *BOTH, key=FORGER)) == "accepted"
        assert SECOND in here.held(), "a forged entry lets nothing out"
        assert "none of the keys" in here.conflicts()[None]
        assert here.announce(FIRST, SECOND, registry=entry(6, *BOTH)) == "accepted"
        assert (here.held(), here.conflicts()) == ({}, {})

        narrowed = entry(7, BOTH[0], revoked=(Revoked(FIRST, "legal_order, entry 3 of the ledger"),))
        assert here.announce(FIRST, SECOND, registry=narrowed) == "accepted"
        assert here.held() == {}, "what was let out stays"
        assert "legal_order, entry 3" in here.conflicts()[FIRST]
        assert "covers it" in here.conflicts()[SECOND]
        assert here.announce(FIRST, registry=entry(8)) == "accepted"
        assert set(here.conflicts()) == {FIRST}, "an empty one takes nothing away, either"


def test_what_is_revoked_is_known_without_a_command_and_an_older_store_brings_nothing_back(
    tmp_path: Path,
) -> None:
    older = entry(5, *BOTH)
    with site(tmp_path) as here:
        assert here.announce(FIRST, registry=older) == "accepted"
        assert here.tell(entry(6, key=FORGER), 2) == "refused"
        assert here.status().revocations == 0, "it is to be told again"
        narrowed = entry(6, *BOTH, revoked=(Revoked(SECOND, "legal_order, entry 2 of the ledger"),))
        assert here.tell(narrowed, 2) == "accepted"
        assert (here.held(), here.status().revocations) == ({}, 2)
    with site(tmp_path) as here:
        assert here.status().revocations == 2
        assert here.announce(FIRST, SECOND, registry=older) == "accepted"  # a store from before the order
        assert "legal_order, entry 2" in here.held()[SECOND]
        assert here.tell(entry(7, *BOTH), 3) == "accepted"
        assert here.held() == {}, "it is covered now, and needs no command"


def test_without_keys_nothing_is_checked_and_with_a_damaged_file_everything_is(tmp_path: Path) -> None:
    with site(tmp_path, keys=None) as here:
        assert here.announce(FIRST) == "accepted"
        assert here.held() == {}
        assert here.status().registry == "off: the agent has no registry key (AgentConfig.keys)"
    with site(tmp_path) as here:  # it gets keys: what was let out stays, what is new waits for an entry
        assert here.announce(FIRST, SECOND) == "accepted"
        assert here.held() == {SECOND: "no entry of the registry has come for its account"}
        assert None in here.conflicts()
    with site(tmp_path, keys="damaged") as here:
        assert here.announce(FIRST, SECOND, registry=entry(1, *BOTH)) == "accepted"
        assert SECOND in here.held(), "a file that cannot be read opens nothing"
        assert here.status().registry == "on"

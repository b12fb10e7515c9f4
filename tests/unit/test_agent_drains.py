"""A drain at an agent's site, all but the daemon: journal, overlay, restarts, what its status tells."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.agent.config import AgentConfig, AgentKeys, SpeakerConfig
from controller.agent.journal import Journal
from controller.agent.override import Emergency, sign_emergency
from controller.agent.site import Site
from controller.bgp import Prefix, Route
from controller.safety.drain import Drain, sign_drain
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    ChunkHash,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.transport.messages import Command, DrainOrder
from tests.agent_site import FakeSpeaker, until

FLEET = ("s1", "s2", "s3")
KEY = Ed25519PrivateKey.generate()
A, B, C = (Prefix(f"198.18.{n}.0/24") for n in range(3))


def chunk(*announced: Prefix, only_here: tuple[Prefix, ...] = ()) -> tuple[ChunkHash, bytes]:
    data = encode_chunk(
        Chunk(
            "acme",
            (PrefixObject("p", Prefix("198.18.0.0/22"), None),),
            tuple(
                BgpPrefixObject(f"g{p}", "p", p, None, True, ("s1",) if p in only_here else None)
                for p in announced
            ),
            (BindingObject("b", "p", Prefix("198.18.0.0/22"), "cdn"),),
        )
    )
    return hash_chunk(data), data


def signed(id_: str, *, site: str = "s1", strategy: str = "withdraw", **more: object) -> str:
    fields: dict[str, object] = {
        "id": id_, "site": site, "strategy": strategy, "goes": (A, B), "stays": (), "others": (),
        "elsewhere": 2, "asked_by": ("t1", "t2"), "expires_at": datetime.now(UTC) + timedelta(hours=1),
        "why": "cards",
    }  # fmt: skip
    return sign_drain(Drain(**{**fields, **more}), KEY.private_bytes_raw())  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def site(folder: Path, speaker: FakeSpeaker) -> AsyncIterator[Site]:
    """Run one life of the agent of s1, which has no machines."""
    keys = folder / "keys.json"
    public = (KEY.public_key().public_bytes_raw(),)
    keys.write_bytes(msgspec.json.encode(AgentKeys(intents=public, overrides=public)))
    config = AgentConfig(SpeakerConfig("exabgp", "none"), (), forward=False, fleet=FLEET, keys=str(keys))
    journal = Journal.open(folder / "agent", "s1")
    here = Site(journal, config, speaker, 1)
    task = asyncio.create_task(here.run())
    try:
        yield here
    finally:
        task.cancel()
        await asyncio.wait([task])
        journal.close()


def command(here: Site, generation: int, to: tuple[ChunkHash, bytes]) -> None:
    before = here.report.status.accounts.get("acme")
    (receipt,) = here.commands([Command("s1", generation, "r", "acme", before, *to)])
    assert receipt.outcome == "accepted", receipt


def test_what_a_drain_takes_off_comes_back_as_it_is_to_be_by_then(tmp_path: Path) -> None:
    async def story() -> None:
        speaker = FakeSpeaker()
        async with site(tmp_path, speaker) as here:
            await until(here, lambda s: s.speaker_up)
            command(here, 1, chunk(A, B, only_here=(B,)))
            await until(here, lambda s: s.settled and len(s.sent) == 2)
            assert here.drain(DrainOrder("s1", begin=signed("d1"))).outcome == "accepted"
            said = await until(here, lambda s: s.settled and A not in s.sent)
            assert (said.drains, said.drained, set(said.sent)) == ({"s1": "d1"}, (A,), {B})
            assert [(k.account_id, k.prefix, k.verb, k.check) for k in said.kept] == [
                ("acme", B, "withdraw", "keeper")
            ]
            assert not said.held and not said.waiting, "no roll-out waits for it"
            assert here.drain(DrainOrder("s1", begin=signed("d1"))).outcome == "duplicate"
            command(here, 2, chunk(A, B, C, only_here=(B,)))
            said = await until(here, lambda s: s.settled and s.generation == 2)
            assert (set(said.sent), said.drained) == ({B}, (A, C))
        speaker.announces = frozenset()  # the whole site restarts
        after = tmp_path / "after"  # a lock is its process's: the next life has the same journal elsewhere
        shutil.copytree(tmp_path / "agent", after / "agent")
        async with site(after, speaker) as here:
            said = await until(here, lambda s: s.settled and bool(s.sent))
            assert (set(said.sent), said.drains) == ({B}, {"s1": "d1"})
            assert here.drain(DrainOrder("s1", lift="d1")).outcome == "accepted"
            said = await until(here, lambda s: s.settled and len(s.sent) == 3)
            assert (said.drains, said.drained, said.kept) == ({}, (), ())
            assert here.drain(DrainOrder("s1", lift="d1")).outcome == "duplicate"
            again = here.drain(DrainOrder("s1", begin=signed("d1")))
            assert again.outcome == "refused" and "begins once" in again.reason
        assert {frozenset({B}), frozenset({A, B, C})} <= set(speaker.history)

    asyncio.run(story())


def test_a_site_is_drained_gently_first_and_then_for_good(tmp_path: Path) -> None:
    async def story() -> None:
        speaker = FakeSpeaker()
        async with site(tmp_path, speaker) as here:
            await until(here, lambda s: s.speaker_up)
            command(here, 1, chunk(A, B))
            await until(here, lambda s: s.settled and len(s.sent) == 2)
            here.drain(DrainOrder("s1", begin=signed("d1", strategy="prepend", goes=(A,), stays=(B,))))
            await until(here, lambda s: s.settled and s.drained == (A,))
            assert speaker.announces == {Route(A, (64500,) * 4), Route(B, (64500,))}
            command(here, 2, chunk(A, B, C))
            await until(here, lambda s: s.settled and len(s.sent) == 3)
            assert Route(C, (64500,) * 4) in speaker.announces, "what comes meanwhile is no better a path"
            here.drain(DrainOrder("s1", begin=signed("d2", goes=(A, C), stays=(B,))))
            said = await until(here, lambda s: s.settled and set(s.sent) == {B})
            assert said.drains == {"s1": "d2"}

    asyncio.run(story())


def test_people_bring_a_drained_prefix_back_at_the_site_itself(tmp_path: Path) -> None:
    async def story() -> None:
        speaker = FakeSpeaker()
        async with site(tmp_path, speaker) as here:
            await until(here, lambda s: s.speaker_up)
            command(here, 1, chunk(A, B))
            await until(here, lambda s: s.settled and len(s.sent) == 2)
            here.drain(DrainOrder("s1", begin=signed("d1")))
            await until(here, lambda s: s.settled and not s.sent)
            soon = datetime.now(UTC) + timedelta(minutes=5)
            order = Emergency("s1", "lift", (A,), "", None, "n1", soon, "ann", "the controller is gone")
            assert here.emergency(sign_emergency(order, KEY.private_bytes_raw())).done == (f"lift {A}",)
            said = await until(here, lambda s: s.settled and bool(s.sent))
            assert (set(said.sent), said.drained) == ({A}, (B,))

    asyncio.run(story())


def test_an_agent_hears_of_other_sites_and_of_no_older_controller(tmp_path: Path) -> None:
    async def story() -> None:
        async with site(tmp_path, FakeSpeaker()) as here:
            await until(here, lambda s: s.speaker_up)
            assert here.drain(DrainOrder("s1", begin=signed("d2", site="s2"), fence=3)).outcome == "accepted"
            said = await until(here, lambda s: bool(s.drains))
            assert (said.drains, said.drained) == ({"s2": "d2"}, ())
            assert here.drain(DrainOrder("s2", lift="d2")).outcome == "refused", "it is another's order"
            assert here.drain(DrainOrder("s1", lift="d2", fence=7)).outcome == "accepted"
            await until(here, lambda s: s.fence == 7)
            old = here.drain(DrainOrder("s1", begin=signed("d3", site="s2"), fence=6))
            assert (old.outcome, old.reason) == ("stale", "fence 6 is below 7")
            forged = sign_drain(
                Drain("d4", "s1", "withdraw", (A,), (), (), 2, ("t1", "t2"), datetime.now(UTC), "x"),
                Ed25519PrivateKey.generate().private_bytes_raw(),
            )
            assert "none of the keys" in here.drain(DrainOrder("s1", begin=forged, fence=7)).reason

    asyncio.run(story())

"""A damaged journal: what is kept of it, and that beginning again takes nothing off anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from controller.agent.config import AgentConfig, MachineConfig, SpeakerConfig
from controller.agent.journal import Journal
from controller.agent.journal_records import (
    Adopting,
    Applied,
    Emerged,
    Opened,
    Record,
    Settled,
    encode_record,
    replay,
    sound_records,
)
from controller.agent.policy import FLOOR
from controller.agent.reconcile import ADOPTED, Facts, reconcile
from controller.agent.salvage import begun_again, life_of, of_another_site, salvaged
from controller.agent.site import Site
from controller.bgp import Prefix, Route
from controller.cli.app import run
from controller.machine import process as machine_process
from controller.machine.bindings import binding_set
from controller.machine.process import Machine, machine_app
from controller.safety.budget import Budget, Reading
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.projection import SiteState, project
from controller.transport.http_server import serve_app
from controller.transport.messages import BindingItem, BindingSet, Command, Waiting
from tests.agent_site import FakeSpeaker, Kernels, until
from tests.unit.test_agent_epoch import KEY, agent, deliver, signed, status

KEPT, GONE = Prefix("198.18.0.0/24"), Prefix("198.18.1.0/24")
US = (64500,)


def chunk(*announced: Prefix) -> Chunk:
    return Chunk(
        "acme",
        (PrefixObject("p", Prefix("198.18.0.0/23"), None),),
        tuple(BgpPrefixObject(f"g{p}", "p", p, None, p in announced, None, 0) for p in (KEPT, GONE)),
        tuple(BindingObject(f"b{p}", "p", p, "cdn") for p in (KEPT, GONE)),
    )


def applied(n: int) -> Applied:
    data = encode_chunk(chunk(KEPT))
    return Applied(
        n, "r", f"a{n}", None, hash_chunk(data), data, spent={f"i{n}": ((KEPT, "withdraw"),)}, fence=n
    )


RECORDS: list[Record] = [
    Opened("s1", "life"),
    *(applied(n) for n in range(1, 5)),
    Emerged("used", (GONE,), (), (), {}),
    Settled(4),
]


@given(st.integers(0, len(RECORDS) - 1), st.integers(0, 10_000), st.integers(1, 255))
def test_what_forbids_is_kept_as_far_as_it_is_sound_and_what_was_asked_for_is_not(
    hit: int, place: int, change: int
) -> None:
    frames = [bytearray(encode_record(r)) for r in RECORDS]
    frames[hit][place % len(frames[hit])] ^= change
    data = b"".join(frames)
    sound = sound_records(data)
    assert sound == [r for n, r in enumerate(RECORDS) if n != hit]
    kept = salvaged(data, "s1", 3)
    assert kept.generation >= 3 and kept.generation == max(
        3, *(r.generation for r in sound if isinstance(r, Applied | Settled))
    )
    assert kept.spent.keys() == {f"i{r.generation}" for r in sound if isinstance(r, Applied)}
    assert (GONE in kept.withdrawn) == ("used" in kept.used) == (hit != 5)
    assert (kept.site, kept.epoch, kept.serial) == ("s1", life_of(data), 0)
    spent = {"ordinary": Budget.exhausted(FLOOR.budget, Reading("b", 1.0))}
    begun = replay(begun_again(kept, "another", spent))
    assert (begun.epoch, begun.adopting, begun.accounts, begun.standing) == ("another", (), {}, {})
    assert (begun.generation, begun.fence, begun.spent) == (kept.generation, kept.fence, kept.spent)
    assert begun.budgets["ordinary"].room(FLOOR.budget, Reading("b", 2.0)) == 0, "what is lost is spent"


def test_another_sites_journal_is_no_damage_of_ours() -> None:
    data = b"".join(encode_record(r) for r in RECORDS)
    assert (of_another_site(data, "s1"), of_another_site(data, "s2")) == ("", "s1")
    assert of_another_site(b"nonsense", "s1") == ""


class WatchedMachine(Machine):
    """A machine that remembers what it was given."""

    def __init__(self, name: str, journal: Path) -> None:
        super().__init__(name, journal)
        self.offered: list[set[Prefix]] = []

    async def take(self, offered: BindingSet) -> str | None:
        self.offered.append({item.cidr for item in offered.bindings})
        return await super().take(offered)


def damage(path: Path) -> None:
    """Flip a byte of the second record: sound ones are behind it."""
    data = bytearray(path.read_bytes())
    data[data.index(b"HJ1\n", 4) + 20] ^= 1
    path.write_bytes(data)


def test_a_damaged_journal_begins_again_by_a_release_that_names_that_very_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(tmp_path) as socket:
        _, first = deliver(socket, 1, None)
        assert deliver(socket, 2, first)[0].outcome == "accepted"
        life = status(socket).epoch
    damage(tmp_path / "state" / "journal")
    broken = (tmp_path / "state" / "journal").read_bytes()
    with agent(tmp_path) as socket:
        assert "damaged" in status(socket).fault
        assert deliver(socket, 3, first)[0].outcome == "refused"
        wrong = signed(tmp_path, socket, Ed25519PrivateKey.generate(), capsys)
        assert run(["site", "release", wrong, "--agent", str(socket)]) == 1
        assert (tmp_path / "state" / "journal").read_bytes() == broken
        release = signed(tmp_path, socket, KEY, capsys)
        assert run(["site", "release", release, "--agent", str(socket)]) == 0
        assert "what the speaker has stands" in capsys.readouterr().out
    with agent(tmp_path) as socket:
        assert status(socket).fault == ""
        assert status(socket).accounts == {} and status(socket).generation == 2
        assert status(socket).resumed_from == (life, 2), "a controller that remembers that one knows this one"
        assert deliver(socket, 2, None)[0].outcome == "stale", "what was reached is not forgotten"
        assert deliver(socket, 3, None)[0].outcome == "accepted"
        assert run(["site", "release", release, "--agent", str(socket)]) == 1
    (aside,) = (tmp_path / "state").glob("journal.damaged-*")
    assert aside.read_bytes() == broken


def signed_by() -> Ed25519PrivateKey:
    from tests.unit.test_agent_epoch import KEY

    return KEY


@pytest.mark.parametrize("announced", [(KEPT, GONE), (KEPT,)], ids=["the-same", "one-was-withdrawn"])
def test_what_the_speaker_has_stands_and_machines_keep_what_they_hold_until_all_of_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced: Sequence[Prefix]
) -> None:
    kernels = Kernels()
    monkeypatch.setattr(machine_process, "set_routes", kernels.set)
    monkeypatch.setattr(machine_process, "read_routes", kernels.read)
    items = [BindingItem(p, "cdn", "acme", f"b{p}") for p in (KEPT, GONE)]

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            machine, up = WatchedMachine("m1", tmp_path / "m1.json"), asyncio.Event()
            assert await machine.take(binding_set(1, items)) is None
            before = machine.ack()
            socket = tmp_path / "m1.sock"
            serving = group.create_task(serve_app(machine_app(machine), socket=socket, ready=up.set))
            await up.wait()
            config = AgentConfig(
                SpeakerConfig("exabgp", "none"), (MachineConfig("m1", str(socket)),), forward=False
            )
            Journal.open(tmp_path / "agent", "s1").close()
            kept = salvaged(b"nonsense", "s1", 7)
            kept.withdrawn = frozenset({KEPT})  # by an emergency that was lifted: that record is lost
            journal = Journal.begin_again(tmp_path / "agent", begun_again(kept, "life", {}))
            speaker = FakeSpeaker(announces=frozenset({Route(KEPT, US), Route(GONE, US)}))
            here = Site(journal, config, speaker, 1)
            running = group.create_task(here.run())
            said = await until(here, lambda s: len(s.sent) == 2 and s.machines[0].live)
            assert journal.state.adopted == {KEPT: US, GONE: US} and journal.state.adopting is None
            assert not said.settled and said.machines[0].hash == before.hash
            data = encode_chunk(chunk(*announced))
            order = Command("s1", 8, "r", "acme", None, hash_chunk(data), data)
            assert here.commands([order])[0].outcome == "accepted"
            if GONE in announced:
                said = await until(here, lambda s: s.settled)
                assert not journal.state.adopted
            else:
                said = await until(here, lambda s: bool(s.held))
                assert [(h.account_id, h.prefix, h.verb, h.check) for h in said.held] == [
                    ("acme", GONE, "withdraw", "intents")
                ]
                assert journal.state.adopted == {GONE: US}
            assert said.sent.keys() == {KEPT, GONE}
            assert all(known == {KEPT, GONE} for known in speaker.history), "no peer lost a route"
            assert all(offered == {KEPT, GONE} for offered in machine.offered), "no binding left it"
            for task in (running, serving):
                task.cancel()
            journal.close()

    asyncio.run(story())


def test_what_was_left_once_stays_when_the_speaker_had_it_after_the_journal_was_lost() -> None:
    left = project({"acme": chunk(KEPT)}, "s1", 64500)
    nothing = SiteState(frozenset(), frozenset(), {})
    has = frozenset({Route(KEPT, US)})
    facts = Facts(nothing, (left,), has, frozenset(), frozenset(), ())
    assert reconcile(facts).routes == frozenset(), "its account has left it"
    kept = reconcile(replace(facts, adopted=frozenset({KEPT})))
    assert kept.routes == has and kept.waiting == (Waiting(KEPT, ADOPTED),)
    assert reconcile(replace(facts, adopted=frozenset({KEPT}), taken=frozenset({KEPT}))).routes == frozenset()


def test_the_speakers_word_is_awaited_across_a_restart() -> None:
    state = replay([Opened("s1", "life"), Adopting((GONE,))])
    assert replay(state.records()).adopting == (GONE,)

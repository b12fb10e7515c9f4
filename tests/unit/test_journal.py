"""The agent's journal: torn tails are cut, damage is not, and compaction changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.agent.errors import AgentRunningError, JournalDamagedError
from controller.agent.journal import Journal
from controller.agent.journal_records import (
    Applied,
    Opened,
    Record,
    Settled,
    decode_journal,
    encode_record,
    replay,
)
from controller.snapshots.model import ChunkHash, hash_chunk


def applied(generation: int, account: str, data: bytes | None, before: bytes | None = None) -> Applied:
    return Applied(
        generation=generation,
        rollout_id=f"r{generation}",
        account_id=account,
        from_hash=hash_chunk(before) if before is not None else None,
        to_hash=hash_chunk(data) if data is not None else None,
        chunk=data,
    )


RECORDS: list[Record] = [
    Opened("s1", "e1"),
    applied(1, "a", b"one"),
    applied(2, "b", b"two"),
    Settled(2),
    applied(3, "a", b"three", b"one"),
]
WHOLE = b"".join(encode_record(r) for r in RECORDS)


def test_every_torn_tail_leaves_the_records_before_it() -> None:
    starts = [sum(len(encode_record(r)) for r in RECORDS[:i]) for i in range(len(RECORDS) + 1)]
    for length in range(len(WHOLE) + 1):
        records, end = decode_journal(WHOLE[:length])
        whole = max(i for i, start in enumerate(starts) if start <= length)
        assert records == RECORDS[:whole]
        assert end == starts[whole]


def test_damage_before_the_end_is_an_error_whichever_byte_it_hits() -> None:
    last = len(encode_record(RECORDS[-1]))
    for at in range(len(WHOLE) - last):
        damaged = bytearray(WHOLE)
        damaged[at] ^= 0x41
        with pytest.raises(JournalDamagedError, match="damaged at byte"):
            decode_journal(bytes(damaged))


def test_what_an_account_left_is_kept_until_settled() -> None:
    state = replay(RECORDS)
    assert state.hash_of("a") == hash_chunk(b"three")
    assert state.left == {hash_chunk(b"one"): ("a", b"one")}
    state.apply(Settled(3))
    assert state.left == {}
    assert state.generation == 3


def test_compacted_records_say_the_same() -> None:
    state = replay([*RECORDS, applied(4, "b", None, b"two")])
    assert replay(state.records()) == state


def test_a_journal_is_reopened_with_its_epoch_and_a_torn_tail_is_cut(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, "s1")
    journal.append(applied(1, "a", b"one"))
    epoch = journal.state.epoch
    assert len(epoch) == 16
    path = tmp_path / "journal"
    sound = path.read_bytes()
    path.write_bytes(sound + encode_record(applied(2, "a", b"two", b"one"))[:-3])
    (tmp_path / "lock").unlink()  # the first journal still holds it: this process plays both lives
    again = Journal.open(tmp_path, "s1")
    assert (again.state.epoch, again.state.generation) == (epoch, 1)
    assert path.read_bytes() == sound
    again.append(applied(2, "a", b"two", b"one"))
    assert replay(decode_journal(path.read_bytes())[0]) == again.state


def test_two_agents_cannot_hold_one_journal(tmp_path: Path) -> None:
    Journal.open(tmp_path, "s1")
    with pytest.raises(AgentRunningError, match="another agent"):
        Journal.open(tmp_path, "s1")


def test_the_journal_of_another_site_is_refused(tmp_path: Path) -> None:
    Journal.open(tmp_path, "s1")
    (tmp_path / "lock").unlink()
    with pytest.raises(JournalDamagedError, match="'s1'"):
        Journal.open(tmp_path, "s2")


def test_a_long_journal_is_compacted_and_says_the_same(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, "s1")
    before: bytes | None = None
    for generation in range(1, 30):
        data = bytes([generation]) * 100_000
        journal.append(applied(generation, "a", data, before))
        journal.append(Settled(generation))
        before = data
    path = tmp_path / "journal"
    assert path.stat().st_size < 29 * 100_000
    assert replay(decode_journal(path.read_bytes())[0]) == journal.state
    assert journal.state.hash_of("a") == ChunkHash(hash_chunk(before or b""))

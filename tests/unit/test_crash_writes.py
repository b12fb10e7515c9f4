"""Eight writers and one kill: no acknowledged write is lost or done twice (I5), in short."""

from __future__ import annotations

from pathlib import Path

from tests.crash.writers import WRITERS, crash


def test_no_acknowledged_write_is_lost_or_done_twice(tmp_path_factory) -> None:
    outcome = crash(Path(tmp_path_factory.mktemp("c")), kills=1, seconds=1)
    assert outcome.acknowledged >= 2 * WRITERS
    assert outcome.audited == outcome.acknowledged

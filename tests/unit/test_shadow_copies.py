"""Private copies of a store of either kind, which is left as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.exports import export_lines
from controller.shadow.copying import copy_export, copy_store
from controller.shadow.errors import CopyError
from controller.shadow.reading import read_facts
from controller.shadow.requests import sign_requests_anew
from controller.store import store_address
from tests.addressing_api import running_api
from tests.removal import admit, cast
from tests.stores import a_store


def test_a_copy_has_what_can_be_taken_away_and_its_requests_are_signed_with_its_own_key(
    tmp_path: Path,
) -> None:
    with running_api(tmp_path) as api, cast(api) as stage:
        stage.advertise()
        other = stage.another("198.51.100.0/24")
        stage.ask_deletion(other)
        admit(api)
        before = api.counts()
        copy = tmp_path / "copy.db"
        copy_store(str(a_store(tmp_path / "herald.db")), copy)
        assert api.counts() == before
        lines = tmp_path / "all.jsonl"
        lines.write_bytes(b"".join(export_lines(api.store)))
    copy_export(lines, tmp_path / "from-export.db")
    facts, imported = (read_facts(f, datetime.now(UTC)) for f in (copy, tmp_path / "from-export.db"))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (imported.prefixes, imported.bgp_prefixes, imported.bindings, imported.head) == (
        facts.prefixes, facts.bgp_prefixes, facts.bindings, facts.head,
    )  # fmt: skip
    assert {p.cidr: p.asked for p in facts.prefixes.values()} == {
        "192.0.2.0/24": False,
        "198.51.100.0/24": True,
    }
    assert [b.cidr for b in facts.bgp_prefixes.values() if b.advertised] == ["192.0.2.0/24"]
    chunk = facts.head["acme"]
    assert chunk is not None and len(chunk.bindings) == 2
    assert sign_requests_anew(copy, Ed25519PrivateKey.generate()) == 1


def test_a_store_of_another_release_is_not_moved_to_this_ones_schema(tmp_path: Path) -> None:
    """Opening a server's store would do that to production's own tables."""
    with running_api(tmp_path):
        where = a_store(tmp_path / "herald.db")
    address = store_address(where)
    if address.path is not None:  # a SQLite store is copied as it is, whatever release wrote it
        with closing(sqlite3.connect(address.path)) as older, older:
            older.execute("UPDATE alembic_version SET version_num = '0008'")
        copy_store(str(where), tmp_path / "copy.db")
        for file in (address.path, tmp_path / "copy.db"):
            with closing(sqlite3.connect(file)) as opened:
                assert opened.execute("SELECT version_num FROM alembic_version").fetchone() == ("0008",)
        return
    with psycopg.connect(str(where), autocommit=True) as connection:
        was = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = '0008'")
        try:
            with pytest.raises(CopyError, match="has schema 0008"):
                copy_store(str(where), tmp_path / "copy.db")
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0008",)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", was)

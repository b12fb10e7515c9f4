"""The store: migrations, durability settings, transactions."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

import controller.addressing.tables as addressing
from controller.store import (
    Base,
    DatabaseVersionError,
    NestedWriteError,
    Store,
    StoreClosedError,
    StoreError,
    StoreUnavailableError,
    UtcDateTime,
    open_store,
    store_address,
)
from controller.store.migrate import revisions
from tests.stores import a_store, stores

on_each_store = pytest.mark.stores
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(a_store(tmp_path / "herald.db"))
    yield opened
    opened.close()


def account(id_: str) -> addressing.AccountRow:
    return addressing.AccountRow(id=id_, name="Acme", created_at=NOW)


@on_each_store
def test_migrations_give_exactly_the_tables_that_the_code_has(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for path in (root / "controller").rglob("*.py"):
        if "__tablename__" in path.read_text():
            importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
    where = a_store(tmp_path / "herald.db")
    open_store(where).close()
    with create_engine(store_address(where).url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


@on_each_store
def test_opening_again_keeps_everything_and_migrates_nothing(tmp_path: Path, monkeypatch) -> None:
    first = open_store(a_store(tmp_path / "herald.db"))
    with first.write() as session:
        session.add(account("acme"))
    first.close()
    monkeypatch.setattr("alembic.command.upgrade", lambda *_: pytest.fail("nothing is to be migrated"))
    again = open_store(a_store(tmp_path / "herald.db"))
    with again.read() as session:
        assert session.get_one(addressing.AccountRow, "acme").created_at == NOW
    again.close()


def test_migrations_are_one_line_of_revisions_named_after_their_files() -> None:
    before = None
    for revision in revisions():
        (path,) = Path(importlib.import_module("controller.store.migrations.versions").__path__[0]).glob(
            f"v{revision}_*.py"
        )
        module = importlib.import_module(f"controller.store.migrations.versions.{path.stem}")
        assert (module.revision, module.down_revision) == (revision, before)
        before = revision


def test_the_file_is_private_and_every_commit_reaches_the_disk(store: Store) -> None:
    assert store.address.path.stat().st_mode & 0o777 == 0o600
    with store.read() as session:
        settings = [
            session.execute(text(f"PRAGMA {p}")).scalar()
            for p in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


@on_each_store
def test_an_exception_in_a_write_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as session:
        session.add(account("acme"))
        session.flush()
        raise RuntimeError
    with store.read() as session:
        assert session.get(addressing.AccountRow, "acme") is None


@on_each_store
def test_a_reader_sees_one_state_and_cannot_write(store: Store) -> None:
    with store.read() as reader:
        assert reader.get(addressing.AccountRow, "acme") is None
        with store.write() as writer:
            writer.add(account("acme"))
        assert reader.execute(text("SELECT count(*) FROM accounts")).scalar() == 0
        with pytest.raises(DBAPIError, match=r"read-?only"):
            reader.execute(text("DELETE FROM accounts"))


@on_each_store
def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(IntegrityError), store.write() as session:
        session.add(
            addressing.TokenRow(id="t", hash="h", role="customer", account_id="nobody", created_at=NOW)
        )


@on_each_store
def test_events_cannot_be_changed_or_removed(store: Store) -> None:
    with store.write() as session:
        session.add(
            addressing.EventRow(
                at=NOW,
                actor="a",
                origin="o",
                action="x",
                object_kind="k",
                object_id="i",
                reason="r",
                detail={},
            )
        )
    for statement in ("DELETE FROM events", "UPDATE events SET actor = 'b'"):
        with pytest.raises(IntegrityError, match="append-only"), store.write() as session:
            session.execute(text(statement))


@on_each_store
def test_a_write_inside_a_write_is_told_instead_of_waiting_for_itself(store: Store) -> None:
    with store.write(), pytest.raises(NestedWriteError), store.write():
        pass
    with store.write() as session:  # and the lock is free again
        session.add(account("acme"))


@on_each_store
def test_closing_waits_for_a_thread_that_its_task_has_left_behind(tmp_path: Path) -> None:
    opened = open_store(a_store(tmp_path / "herald.db"))
    reads, ends = threading.Event(), threading.Event()

    def read() -> int:
        with opened.read() as session:
            reads.set()
            ends.wait()
            return session.scalar(text("SELECT 1")) or 0

    with ThreadPoolExecutor() as pool:
        try:
            reading = pool.submit(read)
            reads.wait()
            closing = pool.submit(opened.close)
            with pytest.raises(StoreClosedError):
                while not closing.done():  # which it is not: nobody is let in meanwhile
                    with opened.read():
                        pass
            assert not closing.done()
        finally:
            ends.set()
        assert reading.result() == 1
        closing.result()
    stores.copy(tmp_path / "herald.db", tmp_path / "copy.db")  # a server refuses that while one is connected
    with pytest.raises(StoreClosedError), opened.write():
        pass


@on_each_store
def test_writers_of_many_threads_all_get_their_turn(store: Store) -> None:
    def add(index: int) -> None:
        with store.write() as session:
            count = session.execute(text("SELECT count(*) FROM accounts")).scalar() or 0
            session.add(account(f"a{index}-{count}"))

    threads = [threading.Thread(target=add, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        ids = session.execute(text("SELECT id FROM accounts")).scalars().all()
    assert sorted(int(i.split("-")[1]) for i in ids) == list(range(20))


@on_each_store
def test_writers_of_two_processes_wait_for_each_other(store: Store) -> None:
    """Each reads before it writes: a lock that was only upgraded then would fail at once."""
    other = open_store(store.address)  # its own connections and its own lock, as another process has

    def add(opened: Store, name: str) -> None:
        for _ in range(10):
            with opened.write() as session:
                count = session.execute(text("SELECT count(*) FROM accounts")).scalar() or 0
                session.add(account(f"{name}-{count}"))

    threads = [threading.Thread(target=add, args=pair) for pair in ((store, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    with store.read() as session:
        ids = session.execute(text("SELECT id FROM accounts")).scalars().all()
    assert sorted(int(i.split("-")[1]) for i in ids) == list(range(20))


@on_each_store
def test_a_newer_releases_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    opened = open_store(a_store(tmp_path / "herald.db"))
    with opened.write() as session:
        before = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseVersionError, match="9999"):
        open_store(a_store(tmp_path / "herald.db"))
    with opened.write() as session:
        session.execute(text(f"UPDATE alembic_version SET version_num = '{before}'"))
    opened.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "herald.db"
    path.write_text("this is no database, and long enough to be seen as such" * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a database"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match="cannot open the database"):
        open_store(tmp_path / "file" / "herald.db")


def test_times_are_kept_in_utc_and_naive_ones_refused() -> None:
    kept = UtcDateTime().process_bind_param(NOW, None)
    assert kept == "2026-01-02T03:04:05.678901Z"
    assert UtcDateTime().process_result_value(kept, None) == NOW
    with pytest.raises(ValueError, match="time zone"):
        UtcDateTime().process_bind_param(NOW.replace(tzinfo=None), None)


def test_damage_in_a_migration_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch) -> None:
    def half(*_: object) -> None:
        raise DatabaseError("CREATE", None, Exception("disk I/O error"))

    monkeypatch.setattr("alembic.op.create_index", half)
    with pytest.raises(StoreError):
        open_store(tmp_path / "herald.db")
    monkeypatch.undo()
    opened = open_store(tmp_path / "herald.db")
    with opened.read() as session:
        assert session.execute(text("SELECT count(*) FROM accounts")).scalar() == 0
    opened.close()


OPEN = """
import sys
from controller.store import open_store
sys.stdin.readline()
open_store(sys.argv[1]).close()
print("opened", flush=True)
"""


@on_each_store
def test_processes_that_migrate_at_once_do_it_once(tmp_path: Path, store_kind: str) -> None:
    where = str(tmp_path / "herald.db")
    if store_kind == "postgresql":
        where = stores.server.url(stores.server.create())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["opened\n"] * 3
    opened = open_store(where)
    with opened.read() as session:
        assert (
            session.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == revisions()[-1]
        )
    opened.close()

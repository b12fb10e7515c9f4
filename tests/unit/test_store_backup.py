"""Copies of a whole store: taken while it is written to, put back whole, never under somebody's feet."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from controller.store import Store, StoreError, StoreInUseError, open_store, store_address
from controller.store.backup import back_up, restore
from tests.stores import a_store, stores
from tests.unit.test_store import account

pytestmark = pytest.mark.stores


@pytest.fixture
def store(tmp_path: Path):
    made = open_store(a_store(tmp_path / "herald.db"))
    with made.write() as session:
        session.add(account("acme"))
    yield made
    made.close()


def names(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.scalars(text("SELECT id FROM accounts ORDER BY id")))


def test_a_backup_under_writes_is_one_state_and_comes_back(store: Store, tmp_path: Path) -> None:
    """Two accounts are always written together: a copy has both or none."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            with store.write() as session:
                session.add_all([account(f"a{number:05}"), account(f"b{number:05}")])
            number += 1

    writing = threading.Thread(target=write)
    writing.start()
    while len(names(store)) < 10:
        writing.join(0.01)
    size = back_up(store.address, tmp_path / "copy")
    stop.set()
    writing.join()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert size == (tmp_path / "copy").stat().st_size
    target = store_address(a_store(tmp_path / "target.db"))
    restore(tmp_path / "copy", target, replace=True)
    again = open_store(target)
    found = names(again)
    again.close()
    assert len(found) >= 10
    assert sorted("b" + n[1:] for n in found if n[0] == "a" and n != "acme") == [
        n for n in found if n[0] == "b"
    ]


def test_a_store_in_use_or_with_something_in_it_is_not_replaced(store: Store, tmp_path: Path) -> None:
    back_up(store.address, tmp_path / "copy")
    with store.write() as session:
        session.add(account("newer"))
    with pytest.raises(StoreInUseError, match="stop herald serve first"):
        restore(tmp_path / "copy", store.address, replace=True)
    store.close()
    with pytest.raises(StoreError, match="give --replace"):
        restore(tmp_path / "copy", store.address)
    kept = restore(tmp_path / "copy", store.address, replace=True)
    again = open_store(store.address)
    assert names(again) == ["acme"]
    again.close()
    if kept is not None:
        beside = open_store(kept)
        assert names(beside) == ["acme", "newer"], "what was there is kept"
        beside.close()
        assert kept.stat().st_mode & 0o777 == 0o600


def test_what_is_no_copy_is_refused_and_changes_nothing(
    store: Store, tmp_path: Path, store_kind: str
) -> None:
    store.close()
    (tmp_path / "nonsense").write_bytes(b"nonsense" * 1000)
    for file in ("nonsense", "missing"):
        with pytest.raises(StoreError, match=r"is no copy of a|there is no file"):
            restore(tmp_path / file, store.address, replace=True)
    if store_kind == "sqlite":
        back_up(store.address, tmp_path / "copy")
        whole = (tmp_path / "copy").read_bytes()
        (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError, match=r"is damaged|is no copy"):
            restore(tmp_path / "cut", store.address, replace=True)
        with pytest.raises(StoreError, match="there is no store"):
            back_up(store_address(tmp_path / "none.db"), tmp_path / "x")
        assert not (tmp_path / "x").exists()
    again = open_store(store.address)
    assert names(again) == ["acme"]
    again.close()


def test_a_damaged_store_can_be_replaced(store: Store, tmp_path: Path, store_kind: str) -> None:
    if store_kind == "postgresql":
        pytest.skip("a server looks after its own files")
    back_up(store.address, tmp_path / "copy")
    store.close()
    path = store.address.path
    assert path is not None
    path.write_bytes(b"damaged" * 1000)
    kept = restore(tmp_path / "copy", store.address, replace=True)
    assert kept is not None and kept.read_bytes() == b"damaged" * 1000
    again = open_store(store.address)
    assert names(again) == ["acme"]
    again.close()


def test_the_password_is_given_where_nobody_sees_it(tmp_path: Path, monkeypatch, store_kind: str) -> None:
    """What the program is run with is seen by a program in its place."""
    from controller.store import backup

    shown = tmp_path / "99" / "bin"
    shown.mkdir(parents=True)
    (shown / "pg_dump").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/argv; echo "$PGPASSWORD" > {tmp_path}/env\n'
    )
    (shown / "pg_dump").chmod(0o755)
    monkeypatch.setattr(backup, "PROGRAMS", tmp_path)
    back_up(store_address("postgresql://u:s3cret@h:5433/d"), tmp_path / "copy")
    assert (tmp_path / "env").read_text() == "s3cret\n"
    argv = (tmp_path / "argv").read_text()
    assert "s3cret" not in argv and "postgresql://u@h:5433/d" in argv
    assert stores.kind == store_kind

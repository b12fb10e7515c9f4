"""Exports: equal on each store, whole or refused; and what an import means to sites."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from controller.exports import BadLineError, ExportError, export_lines, import_lines
from controller.exports.check import check_store
from controller.exports.choice import LEFT_OUT, SECRETS, exported_tables
from controller.exports.errors import NotEmptyError
from controller.rollout import admission
from controller.snapshots.tables import ChunkRow
from controller.store import Base, Store, open_store
from tests.addressing_api import furnished
from tests.addressing_api import running_api as serving  # these tests choose their stores themselves
from tests.driving import ACME, controlling, onboard, play, toggle
from tests.fake_agent import FakeAgent
from tests.stores import a_store, stores

each_store = pytest.mark.stores


def opened(path: Path, kind: str) -> Store:
    with stores.use(kind):
        return open_store(a_store(path))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> bytes:
    """Of a store with something in it: operational, and waiting."""
    where = tmp_path_factory.mktemp("exported")
    with serving(where) as api:
        ids = furnished(api)
        client = api.client()
        with api.store.write() as session:
            admission.admit_next(session, (), lambda _: None, 0.0)
        client.describe_prefix("acme", ids["prefix"], 'Zürich \U0001f980 "quoted"\n')
        client.create_account("Globex", id="globex")
        http = api.http()
        base = f"/client/v4/accounts/acme/addressing/prefixes/{ids['prefix']}/bgp/prefixes/{ids['bgp']}"
        assert http.patch(base, json={"asn_prepend_count": 2}).status_code == 200
        return b"".join(export_lines(api.store))


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def sealed(lines: list[dict[str, Any]]) -> list[bytes]:
    """Return changed lines with an end that fits them."""
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = {"end": {"lines": len(lines), "sha256": hashlib.sha256(body).hexdigest()}}
    return [*lines_of(body), json.dumps(end).encode() + b"\n"]


def total(store: Store) -> int:
    with store.read() as session:
        return sum(
            session.scalar(select(func.count()).select_from(t)) or 0 for t in Base.metadata.sorted_tables
        )


def test_every_table_is_exported_or_left_out_for_a_reason() -> None:
    names = {t.name for t in Base.metadata.sorted_tables}
    assert set(LEFT_OUT) <= names
    assert {t.name for t in exported_tables()} == names - set(LEFT_OUT) - set(SECRETS)
    assert {"accounts", "prefixes", "bgp_prefixes", "bindings", "services", "events"} <= {
        t.name for t in exported_tables()
    }


def test_from_sqlite_to_postgresql_and_back_it_is_byte_for_byte_the_same(
    tmp_path: Path, exported: bytes
) -> None:
    kinds = [json.loads(line).keys() for line in lines_of(exported)]
    assert [k for k in ("operational", "waiting") if any(k in keys for keys in kinds)] == [
        "operational",
        "waiting",
    ]
    assert b"herald_" not in exported, "no token"
    data = exported
    for number, kind in enumerate(("postgresql", "sqlite", "postgresql")):
        store = opened(tmp_path / f"{number}.db", kind)
        made = import_lines(store, lines_of(data))
        assert made.rows["prefixes"] == 1 and made.operational == 1
        assert check_store(store).problems == (), "the chain of events among it"
        data = b"".join(export_lines(store))
        assert data == exported
        store.close()


def test_secrets_are_exported_only_when_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        plain, all_ = (b"".join(export_lines(api.store, secrets=s)) for s in (False, True))
    assert b'"table":"tokens"' not in plain
    assert b'"table":"tokens"' in all_
    store = opened(tmp_path / "again.db", "sqlite")
    assert import_lines(store, lines_of(all_)).rows["tokens"] == 1
    store.close()


Change = Callable[[list[dict[str, Any]]], Any]


def row(lines: list[dict[str, Any]], table: str) -> dict[str, Any]:
    return next(line["row"] for line in lines if line.get("table") == table)


def put(table: str, **values: Any) -> Change:
    return lambda lines: row(lines, table).update(values)


def operational(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line["operational"] for line in lines if "operational" in line)


BAD: dict[str, tuple[Change, str | None, str]] = {
    "format": (lambda ls: ls[0].update(format=2), "format", "is not 1"),
    "schema": (lambda ls: ls[0].update(schema="0001"), "schema", "export again"),
    "not ours": (lambda ls: ls[0].update(herald="x"), None, "no export"),
    "unknown table": (lambda ls: ls[1].update(table="nothing"), "table", "no table"),
    "left out": (lambda ls: ls[1].update(table="chunks"), "table", "no table"),
    "unknown field": (put("accounts", odd=1), "accounts.odd", "no such field"),
    "missing field": (lambda ls: row(ls, "accounts").pop("name"), "accounts.name", "missing"),
    "null": (put("accounts", name=None), "accounts.name", "cannot be null"),
    "wrong type": (put("prefixes", approved=1), "prefixes.approved", "neither true nor false"),
    "a number": (put("prefixes", asn="64500"), "prefixes.asn", "no whole number"),
    "too large": (put("prefixes", asn=2**63), "prefixes.asn", "is not from 0"),
    "too long": (put("accounts", name="x" * 201), "accounts.name", "at most 200"),
    "untextual": (put("accounts", name="a\0"), "accounts.name", "NUL"),
    "time": (put("accounts", created_at="2026-01-02T03:04:05Z"), "accounts.created_at", "no time such as"),
    "no time": (put("accounts", created_at="2026-02-31T03:04:05.000000Z"), "accounts.created_at", "no time"),
    "base64": (put("prefixes", low="!"), "prefixes.low", "no base64"),
    "host bits": (put("prefixes", cidr="192.0.2.1/24"), "prefixes.cidr", "192.0.2"),
    "other ends": (
        put("prefixes", low=base64.b64encode(bytes(16)).decode()), "prefixes.low", "not the ends of cidr",
    ),
    "dangling": (put("bindings", service_id="nothing"), "bindings.service_id", "not there"),
    "prepends": (put("bgp_prefixes", asn_prepend_count=9), "bgp_prefixes", "the store refuses it"),
    "twice": (lambda ls: ls.insert(2, ls[1]), "accounts", "the store refuses it"),
    "out of order": (lambda ls: ls.insert(len(ls), ls[1]), "table", "stands after"),
    "chunk": (lambda ls: operational(ls)["chunk"].update(odd=1), "operational.chunk", "odd"),
    "hash": (lambda ls: operational(ls).update(hash="0" * 64), "operational.hash", "not that of the chunk"),
    "nobody's": (lambda ls: operational(ls).update(account_id="x"), "operational.account_id", "not that"),
    "waiting": (lambda ls: ls[-1]["waiting"].pop("changes"), "waiting", "changes"),
    "waits for nobody": (
        lambda ls: ls[-1]["waiting"].update(account_id="x"), "waiting.account_id", "no such account",
    ),
    "neither": (lambda ls: ls.append({"x": 1}), None, "neither row"),
}  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory, store_kind: str):
    store = open_store(a_store(tmp_path_factory.mktemp("empty") / "herald.db"))
    yield store
    store.close()


@each_store
@pytest.mark.parametrize("what", BAD)
def test_a_bad_line_is_refused_with_its_number_and_field_and_changes_nothing(
    empty: Store, exported: bytes, what: str
) -> None:
    change, field, says = BAD[what]
    lines = [json.loads(line) for line in lines_of(exported)[:-1]]
    before = json.dumps(lines)
    change(lines)
    assert json.dumps(lines) != before
    with pytest.raises(BadLineError, match=r"^line \d+") as e:
        import_lines(empty, sealed(lines))
    assert (e.value.field, says in str(e.value)) == (field, True), str(e.value)
    assert total(empty) == 0


@each_store
def test_a_file_that_was_cut_or_changed_is_refused(empty: Store, exported: bytes) -> None:
    lines = lines_of(exported)
    for wrong, says in (
        (lines[:-1], "ends before its end"),
        ([], "ends before its end"),
        ([*lines[:4], *lines[5:]], "missing, added or changed"),
        ([*lines, lines[-1]], "after the end"),
        ([lines[0], lines[1][:-1]], "cut off"),
        ([lines[0], b"{\n"], "no JSON"),
        ([lines[0], b"[]\n"], "no JSON object"),
    ):
        with pytest.raises(BadLineError, match=says):
            import_lines(empty, wrong)
    assert total(empty) == 0


@each_store
def test_a_store_with_something_in_it_is_left_alone(tmp_path: Path, exported: bytes, store_kind: str) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    import_lines(store, lines_of(exported))
    count = total(store)
    with pytest.raises(NotEmptyError, match="accounts already"):
        import_lines(store, lines_of(exported))
    assert total(store) == count
    assert issubclass(NotEmptyError, ExportError)
    store.close()


@each_store
def test_sites_in_step_with_an_import_go_on_and_others_are_left_alone(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        new = db.with_name("new.db")
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
            account(controller.store, "acme")
            lines = list(export_lines(controller.store))
            await two.down()
            later = controller.submit(toggle("acme", ACME, False))
            await controller.until(
                later, lambda r: r.sites["site1"].state == "confirmed" if r.sites else False
            )
            back = controller.submit(toggle("acme", ACME, True))
            await controller.until(
                back, lambda r: r.sites["site1"].state == "confirmed" if r.sites else False
            )
            more = controller.submit(toggle("acme", ACME, False))
            await controller.until(
                more, lambda r: r.sites["site1"].state == "confirmed" if r.sites else False
            )
        await two.up()
        store = open_store(a_store(new))
        import_lines(store, lines)
        store.close()
        sent = len(one.commands)
        async with controlling(new, one, two) as controller:
            found = await controller.over(controller.submit(toggle("acme", ACME, True)))
            assert found.state == "failed", "site1 holds what the import does not know"
            assert found.sites["site1"].state == "conflict"
            assert len(one.commands) == sent
            assert two.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def account(store: Store, id_: str) -> None:
    """The driver's tests queue change-sets for accounts that no table has; an import wants them."""
    from tests.unit.test_store import account as row_of

    with store.write() as session:
        session.add(row_of(id_))


@each_store
def test_a_check_finds_damage(tmp_path: Path, exported: bytes, store_kind: str) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    import_lines(store, lines_of(exported))
    assert check_store(store).rows["chunks"] == 1
    with store.write() as session:
        session.execute(update(ChunkRow).values(body=b"{}"))
    assert [p.split()[0] for p in check_store(store).problems] == ["chunk"]
    store.close()

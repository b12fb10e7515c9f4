"""From lines to an empty store: all of them in one transaction, or nothing."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Table, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from controller.exports.choice import LEFT_OUT, exported_tables, left_out_tables
from controller.exports.errors import BadLineError, ExportError, NotEmptyError
from controller.exports.lines import FORMAT, LONGEST_LINE, Line, decode, row_of
from controller.rollout import admission
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.model import Change, ChangeSet, Chunk, SnapshotError, encode_chunk, hash_chunk
from controller.snapshots.tables import ChangeSetRow
from controller.store import Store
from controller.store.migrate import revisions

AT_ONCE = 500
"""Rows that are inserted together."""

Numbered = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows each table got, and how many accounts an operational chunk."""

    rows: dict[str, int]
    operational: int


class Lines:
    """Lines with their numbers and their digest so far; a line that is too long is refused unread."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.number = 0
        self._digest = hashlib.sha256()
        self._last = b""

    def __iter__(self) -> Iterator[Line]:
        for data in self._lines:
            self._digest.update(self._last)
            self.number, self._last = self.number + 1, data
            if len(data) > LONGEST_LINE:
                raise BadLineError(self.number, f"it is over {LONGEST_LINE} bytes")
            yield decode(data, self.number)

    def is_end(self, given: object) -> bool:
        """Tell whether ``given`` counts and digests all lines before the present one."""
        return given == {"lines": self.number - 1, "sha256": self._digest.hexdigest()}


def import_lines(store: Store, lines: Iterable[bytes]) -> Imported:
    """Import into an empty store what :mod:`controller.exports.writing` gave; ``lines`` with line feeds.

    Each account's operational chunk is recorded by an ordinary roll-out to no sites, so that a site which
    holds that chunk is where it should be, and one that holds another is a conflict. Raises
    :class:`BadLineError` or :class:`NotEmptyError`, and leaves the store as it was.
    """
    with store.write() as session:
        _must_be_empty(session)
        return _Import(session, Lines(lines)).run()


def _must_be_empty(session: Session) -> None:
    for table in (*exported_tables(), *left_out_tables(n for n in LEFT_OUT if n != "answers")):
        if session.scalar(select(func.count()).select_from(table)):
            raise NotEmptyError(f"the store has {table.name} already: import into a new one")


class _Import:
    def __init__(self, session: Session, lines: Lines) -> None:
        self.session = session
        self.lines = lines
        self.tables = {t.name: n for n, t in enumerate(exported_tables(secrets=True))}
        self.of_name = {t.name: t for t in exported_tables(secrets=True)}
        self.place = -1
        self.rows: Counter[str] = Counter()
        self.operational = 0
        self.waiting = 0
        self.account = ""  # the last one with an operational chunk
        self.batch: list[tuple[int, dict[str, Any]]] = []
        self.table: Table | None = None
        self.told: dict[Table, int] | None = None

    def run(self) -> Imported:
        ended = False
        for line in self.lines:
            number = self.lines.number
            if ended:
                raise BadLineError(number, "there is something after the end")
            if number == 1:
                self._head(line)
            elif line.keys() == {"table", "row"}:
                self._row(line, number)
            elif line.keys() == {"operational"}:
                self._note_what_was_told()
                self._operational(line["operational"], number)
            elif line.keys() == {"waiting"}:
                self._note_what_was_told()
                self._waiting(line["waiting"], number)
            elif line.keys() == {"end"}:
                if not self.lines.is_end(line["end"]):
                    raise BadLineError(number, "lines before it are missing, added or changed", "end")
                ended = True
            else:
                raise BadLineError(number, "it is neither row nor operational, waiting or end")
        if not ended:
            raise BadLineError(self.lines.number + 1, "the file ends before its end: it was cut off")
        self._note_what_was_told()
        self._forget_what_the_import_told()
        return Imported(dict(self.rows), self.operational)

    def _head(self, line: Line) -> None:
        if line.get("herald") != "export" or line.keys() != {"herald", "format", "schema"}:
            raise BadLineError(1, "this is no export of Herald's")
        if line["format"] != FORMAT:
            raise BadLineError(1, f"{line['format']!r} is not {FORMAT}", "format")
        if line["schema"] != revisions()[-1]:
            raise BadLineError(
                1,
                f"it is {line['schema']!r}, this release has {revisions()[-1]}: "
                "export again with the release that imports",
                "schema",
            )

    def _row(self, line: Line, number: int) -> None:
        name = line["table"]
        place = self.tables.get(name, -1) if isinstance(name, str) else -1
        if place < 0:
            raise BadLineError(number, f"{name!r} is no table of an export", "table")
        if place < self.place or self.operational or self.waiting:
            raise BadLineError(number, f"{name} stands after what stands on it", "table")
        if place != self.place or len(self.batch) >= AT_ONCE:
            self._flush()
        self.place, self.table = place, self.of_name[name]
        self.batch.append((number, row_of(self.table, line["row"], number)))
        self.rows[name] += 1

    def _flush(self) -> None:
        """Insert the batch; when the store refuses it, find the line."""
        batch, self.batch = self.batch, []
        if not batch or self.table is None:
            return
        connection = self.session.connection()
        try:
            with connection.begin_nested():
                connection.execute(insert(self.table), [row for _, row in batch])
        except IntegrityError:
            for number, row in batch:
                try:
                    with connection.begin_nested():
                        connection.execute(insert(self.table), row)
                except IntegrityError as error:
                    field = self._dangling(row)
                    why = (
                        "it refers to something that is not there"
                        if field
                        else f"the store refuses it ({str(error.orig).strip().splitlines()[0]})"
                    )
                    raise BadLineError(number, why, field or self.table.name) from error
            raise ExportError("the store refuses rows together that it takes one by one") from None

    def _dangling(self, row: dict[str, Any]) -> str | None:
        """Return the first field of a row that refers to nothing."""
        assert self.table is not None
        for key in self.table.foreign_keys:
            value = row[key.parent.name]
            if value is None:
                continue
            there = select(func.count()).where(key.column == value)
            if not self.session.connection().execute(there).scalar():
                return f"{self.table.name}.{key.parent.name}"
        return None

    def _operational(self, given: object, number: int) -> None:
        self._flush()
        if not isinstance(given, dict) or given.keys() != {"account_id", "hash", "chunk"}:
            raise BadLineError(number, "it needs account_id, hash and chunk", "operational")
        try:
            chunk = msgspec.convert(given["chunk"], Chunk, strict=True)
        except msgspec.ValidationError as error:
            raise BadLineError(number, str(error), "operational.chunk") from error
        if hash_chunk(encode_chunk(chunk)) != given["hash"]:
            raise BadLineError(number, "it is not that of the chunk", "operational.hash")
        account = given["account_id"]
        if chunk.account_id != account:
            raise BadLineError(number, "it is not that of the chunk", "operational.account_id")
        if self.waiting or account <= self.account:
            raise BadLineError(number, "accounts stand in order, each once", "operational.account_id")
        self._known(account, number, "operational.account_id")
        self.account, self.operational = account, self.operational + 1
        self._record(chunk, number)

    def _waiting(self, given: object, number: int) -> None:
        self._flush()
        try:
            change_set = msgspec.convert(given, ChangeSet, strict=True)
        except msgspec.ValidationError as error:
            raise BadLineError(number, str(error), "waiting") from error
        self._known(change_set.account_id, number, "waiting.account_id")
        for name in ("id", "actor"):
            longest = ChangeSetRow.__table__.columns[name].type.length  # type: ignore[attr-defined]
            if not 0 < len(getattr(change_set, name)) <= longest:
                raise BadLineError(number, f"1 to {longest} characters are allowed", f"waiting.{name}")
        if self.session.scalar(select(func.count()).where(ChangeSetRow.id == change_set.id)):
            raise BadLineError(number, "it is there already", "waiting.id")
        outbox.append(self.session, change_set)
        self.session.expunge_all()
        self.waiting += 1

    def _note_what_was_told(self) -> None:
        """Once all rows are there: number new ones after them, and remember what accounts were told."""
        if self.told is not None:
            return
        self._flush()
        _advance_sequences(self.session, [self.of_name[name] for name in self.rows])
        self.told = {
            table: self.session.scalar(select(func.max(table.c.seq))) or 0
            for table in (self.of_name["timeline"], self.of_name["deliveries"])
        }

    def _forget_what_the_import_told(self) -> None:
        """Recording the operational state anew is nothing that happened to an account."""
        for table, last in (self.told or {}).items():
            self.session.execute(delete(table).where(table.c.seq > last))

    def _known(self, account: str, number: int, field: str) -> None:
        there = select(func.count()).where(self.of_name["accounts"].c.id == account)
        if not self.session.connection().execute(there).scalar():
            raise BadLineError(number, "there is no such account", field)

    def _record(self, chunk: Chunk, number: int) -> None:
        """Make the chunk the account's operational one, by a change-set that puts all of it."""
        changes = (
            *(Change(prefix=o) for o in chunk.prefixes),
            *(Change(binding=o) for o in chunk.bindings),
            *(Change(bgp_prefix=o) for o in chunk.bgp_prefixes),
        )
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        change_set = ChangeSet(
            uuid.uuid4().hex, chunk.account_id, "import", "herald store import", at, changes
        )
        outbox.append(self.session, change_set)
        try:
            (admitted,) = admission.admit_next(self.session, (), lambda _: None, time.monotonic())
        except SnapshotError as error:
            raise BadLineError(number, str(error), "operational.chunk") from error
        if admitted.tracked is None:
            raise BadLineError(number, admitted.reason, "operational.chunk")
        if snapshots.head_of(self.session, chunk.account_id) != admitted.tracked.rollout.to_hash:
            raise BadLineError(number, "it does not come out as it went in", "operational.chunk")
        self.session.expunge_all()


def _advance_sequences(session: Session, tables: Iterable[Table]) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers, as SQLite does by itself."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        column = table.autoincrement_column
        if column is not None:
            session.execute(
                text(
                    f"SELECT setval(s, (SELECT max({column.name}) FROM {table.name})) "
                    f"FROM pg_get_serial_sequence('{table.name}', '{column.name}') AS s WHERE s IS NOT NULL"
                )
            )

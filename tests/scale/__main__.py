"""``scripts/bench addressing``: p50 and p99 of reads, lists and writes at scale, on both stores."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from controller.addressing.tables import AccountRow
from controller.store import open_store
from tests.postgresql import Server
from tests.scale.dataset import BEGAN, fill
from tests.scale.measure import Row, answering, forget_peak, peak_mib, serving, timed

DURABLE = ("listen_addresses=", "max_connections=100", "log_min_messages=fatal")
"""PostgreSQL as it comes: each commit reaches the disk."""

Accounts = list[tuple[str, list[str]]]


def base(account: str) -> str:
    return f"/client/v4/accounts/{account}/addressing/prefixes"


def get(http: httpx.Client, path: str) -> httpx.Response:
    answer = http.get(path)
    answer.raise_for_status()
    return answer


def write(http: httpx.Client, method: str, path: str, body: object) -> httpx.Response:
    answer = http.request(method, path, json=body)
    if answer.status_code != 200:
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer


class Bench:
    """One store, filled; ``runs`` calls of each kind."""

    def __init__(self, kind: str, folder: Path, database: str | None, told: argparse.Namespace) -> None:
        self.kind, self.folder, self.database, self.told = kind, folder, database, told
        self.spare: str | None = None
        self.rows: list[Row] = []
        self.figures: dict[str, float] = {}
        (folder / "state").mkdir(exist_ok=True)

    @property
    def where(self) -> Path | str:
        return self.database or self.folder / "state" / "herald.db"

    def fill(self) -> Accounts:
        store = open_store(self.where)
        began = time.perf_counter()
        found = fill(store, accounts=self.told.accounts, prefixes=self.told.prefixes)
        self.figures["filled, bare bulk inserts, s"] = time.perf_counter() - began
        store.close()
        return found

    def run(self) -> None:
        accounts = self.fill()
        large, small = accounts[0], [a for a in accounts[1:] if 5 <= len(a[1]) <= 50]
        with serving(self.folder, self.database) as (http, pid):
            self._reads(http, small)
            self._lists(http, pid, large, small)
            self._writes(http, small)
        self._moves()

    def _reads(self, http: httpx.Client, small: Accounts) -> None:
        wanted = [f"{base(a)}/{ids[n % len(ids)]}" for n, (a, ids) in enumerate(small * 100)]
        size = len(get(http, wanted[0]).content)
        measured = timed(f"{self.kind}: read a prefix", self.told.runs, lambda n: get(http, wanted[n]))
        self._beside(measured, size)

    def _lists(self, http: httpx.Client, pid: int, large: tuple[str, list[str]], small: Accounts) -> None:
        wanted = [base(a) for a, _ in small * 100]
        size = len(get(http, wanted[0]).content)
        measured = timed(
            f"{self.kind}: list an account's {len(small[0][1])} … prefixes", self.told.runs,
            lambda n: get(http, wanted[n]),
        )  # fmt: skip
        self._beside(measured, size)
        forget_peak(pid)
        before = peak_mib(pid)
        count, bytes_ = 0, 0
        with http.stream("GET", base(large[0])) as answer:
            for chunk in answer.iter_bytes():
                count += chunk.count(b'"ownership_validation_token"')
                bytes_ += len(chunk)
        self.figures["one list of so many prefixes"] = len(large[1])
        self.figures["… of so many MiB"] = bytes_ / 2**20
        self.figures["… memory of serve before it, MiB"] = before
        self.figures["… and at its peak, MiB"] = peak_mib(pid)
        whole = timed(
            f"{self.kind}: list {len(large[1])} prefixes", 3, lambda _: get(http, base(large[0])), warm=1
        )
        self._beside(whole, bytes_)

    def _writes(self, http: httpx.Client, small: Accounts) -> None:
        wanted = [f"{base(a)}/{ids[n % len(ids)]}" for n, (a, ids) in enumerate(small * 100)]
        edit = timed(
            f"{self.kind}: edit a prefix", self.told.runs,
            lambda n: write(http, "PATCH", wanted[n], {"description": f"edit {n}"}),
        )  # fmt: skip
        numbers = itertools.count()

        def create(_: int) -> None:
            n = next(numbers)
            body = {"cidr": f"100.{n >> 8 & 63}.{n & 255}.0/24", "asn": None}
            write(http, "POST", base(small[n % len(small)][0]), body)

        made = timed(f"{self.kind}: create a prefix", self.told.runs, create)
        floor = timed(f"{self.kind}: a bare commit of three rows", self.told.runs, self._bare_commit())
        self.rows += [Row(edit, floor), Row(made, floor)]

    def _bare_commit(self) -> Any:
        store = open_store(self.folder / "floor.db" if self.database is None else self.where)
        numbers = itertools.count()

        def commit(_: int) -> None:
            with store.write() as session:
                session.execute(
                    insert(AccountRow),
                    [
                        {"id": f"floor{next(numbers)}", "name": "x" * 200, "created_at": BEGAN}
                        for _ in range(3)
                    ],
                )

        return commit

    def _beside(self, measured: Any, size: int) -> None:
        with answering(self.folder, size) as bare:
            floor = timed(f"bare HTTP, {size:,} bytes", len(measured.samples), lambda _: get(bare, "/"))
        self.rows.append(Row(measured, floor))

    def _moves(self) -> None:
        """Export all of it, and import it into a new store."""
        herald = str(Path(sys.executable).with_name("herald"))
        dump, copy = self.folder / "export.jsonl", self.folder / "copy"
        (copy / "state").mkdir(parents=True)
        source = ["--database", str(self.where)]
        moves = [
            ("export", [herald, "store", "export", str(dump), *source]),
            ("import into SQLite", [herald, "store", "import", str(dump), "--database", str(copy / "h.db")]),
        ]
        if self.spare is not None:
            into = ["--database", self.spare]
            moves.append(("import into PostgreSQL", [herald, "store", "import", str(dump), *into]))
        for name, argv in moves:
            began = time.perf_counter()
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr}")
            self.figures[f"{name}, s"] = time.perf_counter() - began
        self.figures["exported, MiB"] = dump.stat().st_size / 2**20


@contextmanager
def databases(kinds: list[str]) -> Iterator[dict[str, str | None]]:
    if "postgresql" not in kinds:
        yield {"sqlite": None}
        return
    server = Server(settings=DURABLE)
    try:
        yield {
            "sqlite": None,
            "postgresql": server.url(server.create()),
            "spare": server.url(server.create()),
        }
    finally:
        server.remove()


def table(rows: list[Row]) -> Table:
    shown = Table(title="The Addressing API at scale")
    for heading in ("what", "p50", "p99", "floor", "p50", "p99", "ratio of p50"):
        shown.add_column(heading, justify="left" if heading in ("what", "floor") else "right")
    for row in rows:
        figures = [f"{t.at(p) * 1000:.2f} ms" for t in (row.measured, row.floor) for p in (50, 99)]
        shown.add_row(row.measured.name, *figures[:2], row.floor.name, *figures[2:], f"{row.ratio:.2f}")
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench addressing", description=__doc__)
    parser.add_argument("--accounts", type=int, default=5_000)
    parser.add_argument("--prefixes", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=500, help="calls of each kind")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append", help="both by default")
    parser.add_argument("--json", action="store_true", help="raw samples in seconds")
    told = parser.parse_args()
    kinds = told.store or ["sqlite", "postgresql"]
    console = Console(stderr=told.json, width=160)
    found = []
    with databases(kinds) as where:
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="herald-scale-") as name:
                bench = Bench(kind, Path(name), where[kind], told)
                bench.spare = where.get("spare") if kind == "postgresql" else None
                bench.run()
            console.print(table(bench.rows))
            for what, figure in bench.figures.items():
                console.print(f"{kind}: {what}: {figure:,.1f}")
            rows = [{"name": t.name, "samples": t.samples} for r in bench.rows for t in (r.measured, r.floor)]
            found.append({"store": kind, "rows": rows, "figures": bench.figures})
    if told.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

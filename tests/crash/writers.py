"""Eight writers write while ``herald serve`` is killed again and again: no acknowledged write is lost.

A writer that gets no answer sends the same request with the same idempotency key until it has one, as a
careful client does. What is counted at the end: every acknowledged write once, no CIDR and no event twice,
nothing that nobody asked for, and the audit's chain.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

ACCOUNT = "acme"
BASE = f"/client/v4/accounts/{ACCOUNT}/addressing/prefixes"
WRITERS = 8
DURABLE = ("listen_addresses=", "max_connections=100", "log_min_messages=fatal")
"""PostgreSQL as it comes: each commit reaches the disk."""

PATIENCE_S = 60.0
"""Seconds after which a writer that gets no answer gives up: the server did not come back."""


class CrashError(Exception):
    """The proof failed; the message says how."""


class Server:
    """``herald serve`` as a process, which is killed and started again on the same state."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self.folder = folder
        self.socket = folder / "api.sock"
        self._database = [] if database is None else ["--database", database]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        herald = Path(sys.executable).with_name("herald")
        argv = [
            str(herald), "serve", "--state-dir", str(self.folder / "state"), "--socket", str(self.socket),
            *self._database,
        ]  # fmt: skip
        with (self.folder / "serve.log").open("a") as log:
            self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise CrashError(f"serve did not start:\n{(self.folder / 'serve.log').read_text()[-2000:]}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it and wait for its end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def client(self) -> httpx.Client:
        """Return a client with the operator's token."""
        token = (self.folder / "state" / "operator.token").read_text().strip()
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)),
            base_url="http://herald",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )


@dataclass
class Writer(threading.Thread):
    """Makes prefixes of its own and describes them anew, and notes what was acknowledged."""

    number: int
    server: Server
    stop: threading.Event
    made: dict[str, str] = field(default_factory=dict)
    """CIDR → id of each prefix whose making was acknowledged."""
    described: dict[str, str] = field(default_factory=dict)
    """Id → the description that was acknowledged last."""
    repeats: int = 0
    fault: str = ""

    def __post_init__(self) -> None:
        super().__init__(name=f"writer {self.number}")

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Write until told to stop; the last write is always acknowledged."""
        try:
            with self.server.client() as http:
                count = 0
                while not self.stop.is_set():
                    cidr = f"{20 + self.number}.{count >> 8 & 255}.{count & 255}.0/24"
                    found = self._write(http, "POST", BASE, {"cidr": cidr, "asn": None})
                    self.made[cidr] = found["id"]
                    text = f"{self.number}/{count}"
                    self._write(http, "PATCH", f"{BASE}/{found['id']}", {"description": text})
                    self.described[found["id"]] = text
                    count += 1
        except (CrashError, httpx.HTTPError, OSError, KeyError, ValueError) as error:
            self.fault = f"{self.name}: {error!r}"

    def _write(self, http: httpx.Client, method: str, path: str, body: object) -> dict[str, str]:
        headers = {"Idempotency-Key": uuid4().hex}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = http.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                self.repeats += 1
                if time.monotonic() > deadline:
                    raise CrashError(f"no answer within {PATIENCE_S} s: {error!r}") from error
                self.stop.wait(0.02)  # until the next try; the server's socket is what is waited for
                continue
            if answer.status_code == 503:
                self.repeats += 1
                continue
            if answer.status_code != 200:
                raise CrashError(f"{method} {path} {body}: {answer.status_code} {answer.text}")
            result: dict[str, str] = answer.json()["result"]
            return result


@dataclass(frozen=True)
class Outcome:
    """What was written and found."""

    acknowledged: int
    repeated: int
    kills: int
    audited: int


def crash(folder: Path, *, kills: int, seconds: float, database: str | None = None) -> Outcome:
    """Let eight writers write for ``kills`` times ``seconds``, with a kill in the middle of each; then count.

    Raises :class:`CrashError` when a write is lost or done twice.
    """
    (folder / "state").mkdir(exist_ok=True)
    server = Server(folder, database)
    with _running(server):
        with server.client() as http:
            http.post("/herald/v1/accounts", json={"id": ACCOUNT, "name": "Acme"}).raise_for_status()
        stop = threading.Event()
        writers = [Writer(number, server, stop) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(kills):
                _write_on(writers, seconds / 2)
                server.kill()
                server.start()
                _write_on(writers, seconds / 2)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        faults = [w.fault for w in writers if w.fault]
        if faults:
            raise CrashError("; ".join(faults))
        audited = _count(server, writers)
    acknowledged = sum(len(w.made) + len(w.described) for w in writers)
    return Outcome(acknowledged, sum(w.repeats for w in writers), kills, audited)


@contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.kill(signal.SIGTERM)


def _write_on(writers: list[Writer], seconds: float) -> None:
    """Let the writers write for so long, and each at least once more."""
    before = [len(w.described) for w in writers]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or any(
        len(w.described) <= count and not w.fault for w, count in zip(writers, before, strict=True)
    ):
        if time.monotonic() > ends + PATIENCE_S:
            raise CrashError("a writer gets nowhere")
        writers[0].stop.wait(0.05)


def _count(server: Server, writers: list[Writer]) -> int:
    with server.client() as http:
        listed = http.get(BASE).json()["result"]
        cidrs = Counter(p["cidr"] for p in listed)
        twice = [cidr for cidr, count in cidrs.items() if count > 1]
        if twice:
            raise CrashError(f"done twice: {twice[:5]}")
        found = {p["cidr"]: p for p in listed}
        for writer in writers:
            for cidr, id_ in writer.made.items():
                if cidr not in found or found[cidr]["id"] != id_:
                    raise CrashError(f"lost: {cidr} was acknowledged as {id_}, there is {found.get(cidr)}")
            described = {p["id"]: p["description"] for p in listed}
            for id_, text in writer.described.items():
                if described[id_] != text:
                    raise CrashError(f"lost: {id_} was described as {text!r}, is {described[id_]!r}")
        acknowledged = {cidr for w in writers for cidr in w.made}
        unasked = found.keys() - acknowledged
        if unasked:
            raise CrashError(f"nobody was told of {sorted(unasked)[:5]}, and all writers got their answers")
        return _audit(http, expected=sum(len(w.made) + len(w.described) for w in writers))


def _audit(http: httpx.Client, *, expected: int) -> int:
    """Check the audit's chain, and that it tells of each write once."""
    verified = http.get("/herald/v1/audit/verify").json()
    if not verified["intact"]:
        raise CrashError(f"the audit's chain is broken: {verified}")
    events, after = Counter[tuple[str, str]](), 0
    while True:
        page = http.get(f"/herald/v1/audit?after={after}&limit=1000").json()["result"]
        if not page:
            break
        events.update((e["action"], e["object_id"]) for e in page if e["object_kind"] == "prefix")
        after = page[-1]["seq"]
    if sum(events.values()) != expected or max(events.values(), default=0) > 1:
        raise CrashError(
            f"{expected} writes were acknowledged, the audit tells of {sum(events.values())}; twice: "
            f"{[e for e, n in events.items() if n > 1][:5]}"
        )
    return sum(events.values())


def main() -> int:
    """Run the proof; exit 1 when a write was lost or done twice."""
    parser = argparse.ArgumentParser(prog="scripts/crash-writes", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="how often the server is killed (default: 5)")
    parser.add_argument("--seconds", type=float, default=30, help="seconds of writing around each kill")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="herald-crash-") as name, _database(told.store) as database:
        try:
            outcome = crash(Path(name), kills=told.kills, seconds=told.seconds, database=database)
        except CrashError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    text = (
        f"{outcome.acknowledged} writes acknowledged to {WRITERS} writers ({outcome.repeated} repeated), "
        f"{outcome.kills} kills: each is there, none twice; {outcome.audited} events, chain intact"
    )
    print(json.dumps(outcome.__dict__) if told.json else text)
    return 0


@contextmanager
def _database(store: str) -> Iterator[str | None]:
    if store == "sqlite":
        yield None
        return
    from tests.postgresql import Server as PostgreSQL

    server = PostgreSQL(settings=DURABLE)
    try:
        yield server.url(server.create())
    finally:
        server.remove()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())

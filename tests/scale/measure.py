"""Calls to a running ``herald serve``, one after another, and the floors beside them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import httpx


@dataclass(frozen=True)
class Timed:
    """Samples of one kind of call, in seconds, in the order in which they were taken."""

    name: str
    samples: tuple[float, ...]

    def at(self, percent: int) -> float:
        """Return a percentile in seconds."""
        return quantiles(self.samples, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Row:
    """One measurement beside its floor."""

    measured: Timed
    floor: Timed

    @property
    def ratio(self) -> float:
        """Median over median of the floor."""
        return self.measured.at(50) / self.floor.at(50)


def timed(name: str, count: int, call: Callable[[int], object], *, warm: int = 5) -> Timed:
    """Call ``count`` times after a few that are not counted."""
    for number in range(warm):
        call(-1 - number)
    samples = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        samples.append(time.perf_counter() - began)
    return Timed(name, tuple(samples))


def client(socket: Path, token: str = "none") -> httpx.Client:
    """Return a client over a unix socket."""
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket)),
        base_url="http://herald",
        headers={"Authorization": f"Bearer {token}"},
        timeout=120,
    )


@contextmanager
def process(argv: list[str], log: Path) -> Iterator[int]:
    """Run a server until the block ends; gives its pid once it says that it is ready."""
    with log.open("ab") as err:
        started = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=err)
    assert started.stdout is not None
    try:
        first = started.stdout.readline()
        if first != b"ready\n":
            raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text()[-2000:]}")
        yield started.pid
    finally:
        started.terminate()
        started.communicate(timeout=60)


@contextmanager
def serving(folder: Path, database: str | None) -> Iterator[tuple[httpx.Client, int]]:
    """Run ``herald serve``; gives a client with the operator's token, and the pid."""
    socket = folder / "api.sock"
    argv = [
        str(Path(sys.executable).with_name("herald")), "serve", "--state-dir", str(folder / "state"),
        "--socket", str(socket),
        *([] if database is None else ["--database", database]),
    ]  # fmt: skip
    with process(argv, folder / "serve.log") as pid:
        http = client(socket, (folder / "state" / "operator.token").read_text().strip())
        with http:
            yield http, pid


@contextmanager
def answering(folder: Path, size: int) -> Iterator[httpx.Client]:
    """Run the bare HTTP server that answers with ``size`` bytes; gives a client."""
    socket = folder / f"floor-{size}.sock"
    argv = [sys.executable, "-m", "tests.scale.http_floor", str(socket), str(size)]
    with process(argv, folder / "floor.log"), client(socket) as http:
        yield http


def peak_mib(pid: int) -> float:
    """Return the largest resident size that a process has had since the last reset, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak begin anew (``/proc/PID/clear_refs``, proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")

"""Real parts that validation asks, for tests: Debian's stayrtr and nsd, and a whois service of our own.

No IRR daemon is small enough to be started here, so :class:`Whois` is ours: it serves RPSL text over TCP, and
can be told to misbehave. Daemons die with the process that started them, killed or not (PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
DEADLINE_S = 20.0


def roa(prefix: str, asn: int | str, max_length: int | None = None, expires: int | None = None) -> dict:
    """Return an entry of a VRP export."""
    found = {
        "asn": asn,
        "prefix": prefix,
        "maxLength": max_length or int(prefix.rpartition("/")[2]),
        "ta": "test",
    }
    return found if expires is None else found | {"expires": expires}


def write_export(path: Path, roas: Sequence[dict], **metadata: object) -> None:
    """Write a VRP export in one step, as its makers do."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"metadata": metadata, "roas": list(roas)}))
    partial.replace(path)


def route_object(
    prefix: str, origin: int, *remarks: str, source: str = "TEST", mnt_by: str = "MAINT-TEST"
) -> str:
    """Return a route object as a registry writes it."""
    kind = "route6" if ":" in prefix else "route"
    lines = [
        f"{kind + ':':16}{prefix}", f"origin:         AS{origin}", *(f"remarks:        {r}" for r in remarks),
        f"mnt-by:         {mnt_by}", f"source:         {source}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a loopback port that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(reached: Callable[[], bool], what: str, process: subprocess.Popen | None = None) -> None:
    """Wait for a condition that comes from another process."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert process is None or process.poll() is None, f"ended while waiting for {what}"
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:g} s in vain for {what}"
        time.sleep(0.01)


def answers(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def daemon(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen]:
    """Run a daemon in the foreground until the block ends; it is waited for."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*DIES_WITH_US, *command], stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


class StayRtr:
    """Debian's stayrtr, serving a VRP export of ours."""

    def __init__(self, folder: Path, roas: Sequence[dict], *options: str) -> None:
        self.export = folder / "vrps.json"
        self.port = free_port()
        self._log = folder / "stayrtr.log"
        self._options = options
        self._process: subprocess.Popen | None = None
        self._context = None
        write_export(self.export, roas)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> StayRtr:
        command = [
            "stayrtr", "-cache", str(self.export), "-bind", self.address, "-checktime=false",
            "-metrics.addr", f"127.0.0.1:{free_port()}", "-refresh", "86400", *self._options,
        ]  # fmt: skip
        self._context = daemon(command, self._log)
        self._process = self._context.__enter__()
        until(lambda: answers(self.port), "stayrtr to listen", self._process)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._context is not None
        self._context.__exit__(None, None, None)

    def update(self, roas: Sequence[dict]) -> None:
        """Give it another export; it notifies its routers."""
        write_export(self.export, roas)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


ZONE = """$ORIGIN {zone}
$TTL 60
@ IN SOA ns.{zone} hostmaster.{zone} (1 3600 600 86400 60)
@ IN NS ns.{zone}
ns IN A 127.0.0.1
{records}
"""


class Nsd:
    """Debian's nsd, serving generated zones: ``zones`` maps a zone to lines of records."""

    def __init__(self, folder: Path, zones: Mapping[str, Sequence[str]]) -> None:
        self._folder = folder
        self.port = free_port(socket.SOCK_DGRAM)
        self._zones = zones

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Nsd:
        folder = self._folder
        clauses = []
        for index, (zone, records) in enumerate(self._zones.items()):
            (folder / f"{index}.zone").write_text(ZONE.format(zone=zone, records="\n".join(records)))
            clauses.append(f'zone:\n  name: "{zone}"\n  zonefile: "{folder}/{index}.zone"\n')
        config = folder / "nsd.conf"
        config.write_text(
            f'server:\n  ip-address: 127.0.0.1@{self.port}\n  username: ""\n  zonesdir: "{folder}"\n'
            f'  database: ""\n  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd.state"\n'
            f'  zonelistfile: "{folder}/zone.list"\n  server-count: 1\n  logfile: "{folder}/nsd.log"\n'
            f"remote-control:\n  control-enable: no\n{''.join(clauses)}"
        )
        self._context = daemon(["nsd", "-d", "-c", str(config)], folder / "nsd.out")
        process = self._context.__enter__()
        until(lambda: answers(self.port), "nsd to listen", process)
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)


class Whois:
    """A whois service of our own. ``objects``: the RPSL text for each CIDR; ``raw``: octets instead of that.

    ``hold``: while it is cleared nobody gets an answer. ``asked``: the questions that came.
    """

    def __init__(self, objects: Mapping[str, str] | None = None) -> None:
        self.objects = dict(objects or {})
        self.raw: bytes | None = None
        self.reset = False
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked: list[str] = []
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Whois:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hold.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = (await reader.readline()).decode("ascii").strip()
            self.asked.append(question)
            await self.hold.wait()
            if self.reset:
                no_linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
                writer.transport.abort()
                return
            writer.write(self._answer(question) if self.raw is None else self.raw)
            await writer.drain()
            writer.close()
        except ConnectionError:
            pass

    def _answer(self, question: str) -> bytes:
        cidr = question.rsplit(maxsplit=1)[-1]
        text = self.objects.get(cidr)
        if text is None:
            return b"% Test registry\n\n%ERROR:101: no entries found\n%\n% No entries found.\n\n\n"
        return f"% Test registry\n\n{text}\n\n".encode()


def is_running(pid: int) -> bool:
    """Whether a process is still there, and not only waits for its parent to look at how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

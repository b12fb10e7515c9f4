"""The floor of a change: the speakers' own commands, written by hand; no agent, no controller, no driver."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from controller.bgp import Prefix
from controller.observe.inventory import Node
from controller.speakers import gobgp_rpc
from controller.speakers.exabgp_pipe import GREETING
from controller.speakers.gobgp_paths import LocalPath


class BareSpeaker(Protocol):
    """Routes, in and out."""

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Send the command and return when it has been acknowledged."""
        ...

    def write_many(self, prefixes: Sequence[Prefix], *, withdraw: bool) -> None:
        """Send many as the daemon takes many best, and return when all have been acknowledged."""
        ...

    def close(self) -> None:
        """Let go of the speaker."""
        ...


class BareExabgp:
    """ExaBGP's text commands through its helper's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rwb")
        if self._stream.readline() != GREETING:
            raise RuntimeError(f"{path} is not ExaBGP's helper")

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Write one line and read ``done``."""
        verb = "withdraw" if withdraw else "announce"
        self._ask(f"{verb} route {prefix} next-hop self")

    def write_many(self, prefixes: Sequence[Prefix], *, withdraw: bool) -> None:
        """Write a line for each thousand."""
        verb = "withdraw" if withdraw else "announce"
        for i in range(0, len(prefixes), 1000):
            nlri = " ".join(prefixes[i : i + 1000])
            self._ask(f"{verb} attributes next-hop self nlri {nlri}")

    def _ask(self, line: str) -> None:
        self._stream.write(f"{line}\n".encode())
        self._stream.flush()
        answer = self._stream.readline().strip()
        if answer != b"done":
            raise RuntimeError(f"ExaBGP answered {answer!r}")

    def close(self) -> None:
        """Disconnect."""
        self._stream.close()
        self._socket.close()


class BareGobgp:
    """GoBGP's gRPC, one call a change."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(gobgp_rpc.connect(str(path)))

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Add or withdraw one path."""
        self.write_many([prefix], withdraw=withdraw)

    def write_many(self, prefixes: Sequence[Prefix], *, withdraw: bool) -> None:
        """Add or withdraw paths in one call."""
        paths = [LocalPath(prefix, (), (), withdraw) for prefix in prefixes]
        self._loop.run_until_complete(self._connection.write(paths))

    def close(self) -> None:
        """Close the channel."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


class BareBird:
    """BIRD's ``configure`` with a file that has all routes; ``have`` are those that it has at first."""

    def __init__(self, control: Path, config: Path, config_path: str, have: Iterable[Prefix]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(control))
        self._stream = self._socket.makefile("rwb")
        self._stream.readline()
        self._config, self._config_path = config, config_path
        self._have = set(have)

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Configure anew with one more, or one less."""
        self.write_many([prefix], withdraw=withdraw)

    def write_many(self, prefixes: Sequence[Prefix], *, withdraw: bool) -> None:
        """Configure anew, once."""
        self._have = self._have - set(prefixes) if withdraw else self._have | set(prefixes)
        routes = "".join(f"  route {prefix} unreachable;\n" for prefix in self._have)
        self._config.write_text(
            f'include "/etc/bird/bird.conf";\nprotocol static herald4 {{\n  ipv4;\n{routes}}}\n'
            "protocol static herald6 {\n  ipv6;\n}\n"
        )
        self._stream.write(f'configure soft "{self._config_path}"\n'.encode())
        self._stream.flush()
        while (line := self._stream.readline()) and not line.startswith((b"0003 ", b"0004 ")):
            if line[:1] in b"89":
                raise RuntimeError(f"BIRD answered {line!r}")

    def close(self) -> None:
        """Disconnect."""
        self._stream.close()
        self._socket.close()


def bare(node: Node, have: Iterable[Prefix] = ()) -> BareSpeaker:
    """Return the bare speaker of a site's router; ``have``: the routes that it has (for BIRD)."""
    run = Path(node.run)
    if node.daemon == "exabgp":
        return BareExabgp(run / "herald" / "exabgp.sock")
    if node.daemon == "bird":
        config = run / "herald" / "bird.conf"
        return BareBird(run / "bird" / "bird.ctl", config, "/run/herald/bird.conf", have)
    return BareGobgp(run / "gobgp" / "gobgp.sock")

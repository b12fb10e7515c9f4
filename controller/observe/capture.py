"""The capture process: rings → segments → messages → events, for whoever asks and into an MRT file.

One thread and one loop. Rings are emptied before anything is parsed, so that a burst waits here and not in
the kernel. Events are numbered in order of the kernel's timestamps across all nodes (``merge``).
"""

from __future__ import annotations

import argparse
import gc
import select
import signal
import socket
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from controller.logs import configure_logging
from controller.observe.capture_protocol import (
    Fib,
    FibAnswer,
    Probe,
    Request,
    Stats,
    StatsAnswer,
    SyncAnswer,
    Ways,
)
from controller.observe.capture_server import CaptureServer, Reader
from controller.observe.conversations import Conversations
from controller.observe.errors import CaptureStartError, ObserveError, WireError
from controller.observe.event import CaptureStats, FibChange
from controller.observe.event_log import EventLog
from controller.observe.fib import FibMonitor
from controller.observe.merge import Merge, Packet
from controller.observe.mrt_file import MrtAppender
from controller.observe.packet import parse_segment
from controller.observe.probe_desk import ProbeDesk
from controller.observe.prober import Prober
from controller.observe.ring import BLOCK_BYTES, MIN_RING_BYTES, Ring, inside_network

PARSED_AT_ONCE = 256
"""Packets that are parsed before the rings are looked at again."""
RECHECK_S = 0.002
"""Seconds between two looks at the rings while packets or questions wait for older packets."""
DRAIN_S = 2.0
"""Seconds that a capture which is told to end waits for what is still in the rings."""
FIB_KEPT = 500_000
OPENED_AT_ONCE = 32

log = structlog.get_logger()


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node to watch; ``netns_fd``: an inherited descriptor of its network namespace."""

    name: str
    netns_fd: int


class CaptureConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a capture is told. ``addresses``: address → node; ``ring_bytes``: size of each node's ring.

    ``kept_events``: how many events readers may ask for afterwards; the MRT file has all of them.
    """

    socket: str
    nodes: tuple[NodeConfig, ...]
    addresses: dict[str, str]
    mrt: str | None = None
    ring_bytes: Annotated[int, msgspec.Meta(ge=MIN_RING_BYTES, le=4 << 30)] = 64 << 20
    kept_events: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    fib: bool = True


def retire_ms(ring_bytes: int) -> int:
    """Return after how many milliseconds a block is handed over: longer in rings of few blocks.

    Each hand-over spends a whole block, so a small ring would be full of nearly empty ones.
    """
    blocks = ring_bytes // BLOCK_BYTES
    return 8 if blocks >= 64 else 16 if blocks >= 16 else 32


class Capture:
    """A running capture. Raises :class:`CaptureStartError` when a part cannot be had."""

    def __init__(self, config: CaptureConfig) -> None:
        self._log = EventLog(config.kept_events)
        self._conversations = Conversations(config.addresses)
        self._rings: dict[int, Ring] = {}
        self._monitors: dict[int, FibMonitor] = {}
        self._fib: deque[FibChange] = deque(maxlen=FIB_KEPT)
        self._fib_lost = 0
        self._backlog: deque[Packet] = deque()
        self._questions: list[tuple[int, Reader]] = []
        self._packets = 0
        self._no_segments = 0
        self._stop_by: float | None = None
        self._stop_ns = 0
        self._epoll = select.epoll()
        # The kernel makes each ring wait for a grace period (RCU); many can wait at once.
        with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
            for ring, monitor in pool.map(lambda node: _open_node(node, config), config.nodes):
                self._rings[ring.fileno()] = ring
                self._epoll.register(ring.fileno(), select.EPOLLIN)
                if monitor is not None:
                    self._monitors[monitor.fileno()] = monitor
                    self._epoll.register(monitor.fileno(), select.EPOLLIN)
        self._order = list(self._rings.values())
        self._index = {ring.fileno(): i for i, ring in enumerate(self._order)}
        self._merge = Merge(len(self._order))
        self._mrt = _open_mrt(config.mrt)
        self._desk = ProbeDesk(Prober({node.name: node.netns_fd for node in config.nodes}))
        self._epoll.register(self._desk.fileno(), select.EPOLLIN)
        self._server = CaptureServer(Path(config.socket), self._log, self._epoll, self._asked)

    def run(self, wake: socket.socket) -> None:
        """Capture until a signal's byte comes through ``wake``; then read what was sent before, and end."""
        self._epoll.register(wake.fileno(), select.EPOLLIN)
        while self._stop_by is None or not self._drained():
            for descriptor, _ in self._epoll.poll(self._patience()):
                if descriptor in self._rings:
                    self._read(self._index[descriptor])
                elif descriptor in self._monitors:
                    self._read_fib(self._monitors[descriptor])
                elif descriptor == wake.fileno():
                    wake.recv(64)
                    self._stop()
                elif descriptor == self._desk.fileno():
                    self._desk.deliver()
                else:
                    self._server.handle(descriptor)
            if self._merge or self._questions:
                self._check()
            self._parse(PARSED_AT_ONCE)
            self._answer()
            self._server.pump()
        self._backlog.extend(self._merge.rest())
        self._parse(len(self._backlog))
        log.info("ended", **msgspec.structs.asdict(self.stats()))

    def close(self) -> None:
        """End in order: readers, file, rings (all at once: the kernel lets each wait)."""
        self._server.close()
        self._desk.close()
        if self._mrt is not None:
            self._mrt.close()
        for monitor in self._monitors.values():
            monitor.close()
        with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
            list(pool.map(Ring.close, self._order))
        self._epoll.close()

    def stats(self) -> CaptureStats:
        """Return the counts as they are now."""
        for ring in self._order:
            ring.ask()
        return CaptureStats(
            packets=self._packets,
            dropped=sum(ring.dropped for ring in self._order),
            messages=self._conversations.messages,
            last_seq=self._log.last_seq,
            sessions=self._conversations.sessions,
            gaps=self._conversations.gaps,
            let_go=self._log.let_go,
        )

    def _patience(self) -> float | None:
        if self._backlog:
            return 0
        return RECHECK_S if self._merge or self._questions or self._stop_by is not None else None

    def _stop(self) -> None:
        if self._stop_by is None:
            self._stop_by = time.monotonic() + DRAIN_S
            self._stop_ns = time.time_ns()

    def _drained(self) -> bool:
        assert self._stop_by is not None
        self._check()
        return time.monotonic() > self._stop_by or (
            not self._backlog and self._merge.safe_until() >= self._stop_ns
        )

    def _read(self, index: int) -> None:
        packets = self._order[index].read()
        self._packets += len(packets)
        self._merge.push(index, packets)

    def _read_fib(self, monitor: FibMonitor) -> None:
        changes = monitor.read()
        self._fib_lost += max(0, len(self._fib) + len(changes) - FIB_KEPT)
        self._fib.extend(changes)

    def _check(self) -> None:
        """Ask all rings how much they were given, so that the merge knows what can no longer come."""
        for index, ring in enumerate(self._order):
            now = time.time_ns()
            ring.ask()
            self._merge.check(index, now, ring.given)
            if self._merge.behind(index):
                self._read(index)
        self._backlog.extend(self._merge.ready())

    def _parse(self, count: int) -> None:
        for _ in range(min(count, len(self._backlog))):
            at_ns, node, packet = self._backlog.popleft()
            try:
                segment = parse_segment(packet)
            except WireError as error:
                self._no_segments += 1
                if self._no_segments == 1:
                    log.warning("no TCP segment", node=node, reason=str(error))
                continue
            for event in self._conversations.segment(at_ns, node, segment):
                # What only says that nothing happened is counted, and in the file, but not kept.
                if event.kind != "keepalive":
                    self._log.append(event)
                if self._mrt is not None:
                    self._mrt.append(event)
        self._flush()

    def _flush(self) -> None:
        if self._mrt is None:
            return
        try:
            self._mrt.flush()
        except OSError as error:
            log.error("the MRT file ends here: what readers are told is still whole", reason=error.strerror)  # noqa: TRY400
            self._mrt.abandon()
            self._mrt = None

    def _asked(self, reader: Reader, request: Request) -> None:
        match request:
            case Stats():
                reader.answer(StatsAnswer(self.stats()))
            case Fib(prefix=prefix, after_ns=after_ns):
                for monitor in self._monitors.values():
                    self._read_fib(monitor)
                changes = [
                    c for c in self._fib if c.at_ns > after_ns and (prefix is None or c.prefix == prefix)
                ]
                lost = self._fib_lost + sum(monitor.lost for monitor in self._monitors.values())
                reader.answer(FibAnswer(changes, lost))
            case Probe() | Ways():
                self._desk.take(request, reader.answer)
            case _:
                self._questions.append((time.time_ns(), reader))

    def _answer(self) -> None:
        """Answer those ``sync`` questions before which nothing is left to read or to parse."""
        while self._questions:
            asked_ns, reader = self._questions[0]
            unparsed = bool(self._backlog) and self._backlog[0][0] <= asked_ns
            if unparsed or self._merge.safe_until() < asked_ns:
                return
            self._questions.pop(0)
            stats = self.stats()
            reader.answer(SyncAnswer(stats), stats.last_seq)


def _open_node(node: NodeConfig, config: CaptureConfig) -> tuple[Ring, FibMonitor | None]:
    with inside_network(node.netns_fd):
        ring = Ring(node.name, config.ring_bytes, retire_ms(config.ring_bytes))
        return ring, FibMonitor(node.name) if config.fib else None


def _open_mrt(path: str | None) -> MrtAppender | None:
    if path is None:
        return None
    try:
        return MrtAppender(Path(path))
    except OSError as error:
        raise CaptureStartError(f"cannot write {path}: {error.strerror}") from error


def read_config(path: Path) -> CaptureConfig:
    """Read a configuration; raises :class:`CaptureStartError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=CaptureConfig, strict=True)
    except OSError as error:
        raise CaptureStartError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise CaptureStartError(f"{path} is no capture configuration: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """``python -m controller.observe.capture --config FILE``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="controller.observe.capture", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="JSON, see CaptureConfig")
    options = parser.parse_args(arguments)
    configure_logging("capture")
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        capture = Capture(read_config(options.config))
        gc.freeze()
        print("ready", flush=True)
        try:
            capture.run(wake)
        finally:
            capture.close()
    except ObserveError as error:
        print(f"capture: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"capture: cannot go on: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A TPACKET_V3 receive ring per network namespace: what leaves it over TCP port 179 (packet(7), Linux).

The filter runs in the kernel and lets *outgoing* packets through only, so that each is caught once, at its
sender, before the wire. Timestamps are the kernel's, in nanoseconds.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from controller.observe.errors import CaptureStartError
from controller.observe.merge import Packet

BLOCK_BYTES = 128 << 10
"""A block holds at least one segment of 64 KiB, which veth passes on whole."""
MIN_RING_BYTES = 4 * BLOCK_BYTES

# linux/if_packet.h, linux/if_ether.h, linux/filter.h, linux/sched.h
_SOL_PACKET, _PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 263, 5, 6, 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 0x0003
_CLONE_NEWNET = 0x40000000
_TP_STATUS_KERNEL, _TP_STATUS_USER = 0, 1
_FRAME_BYTES = 2048  # only a divisor that the kernel checks; frames in V3 have the length they need

_BLOCK = struct.Struct(
    "=IIIII"
)  # version, offset to private, then hdr_v1: status, packets, first packet's offset
_FRAME = struct.Struct("=IIIIIIHH")  # next, seconds, nanoseconds, captured, length, status, mac, network

# BPF opcodes: load byte, load half, X = 4 * (P[k] & 15), load half at X + k, and, jumps, return.
_LDB, _LDH, _LDX_MSH, _LDH_X, _AND, _JEQ, _JSET, _RET = 0x30, 0x28, 0xB1, 0x48, 0x54, 0x15, 0x45, 0x06
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_PACKET_OUTGOING = 4
_TCP, _BGP_PORT = 6, 179
_V6, _ACCEPT, _DROP = 15, 21, 22
_PROGRAM: list[tuple[int, ...]] = [
    (_LDB, _PACKET_TYPE),
    (_JEQ, _PACKET_OUTGOING, 2, _DROP),
    (_LDB, 0),
    (_AND, 0xF0),
    (_JEQ, 0x60, _V6, 5),
    (_JEQ, 0x40, 6, _DROP),
    (_LDB, 9),
    (_JEQ, _TCP, 8, _DROP),
    (_LDH, 6),
    (_JSET, 0x1FFF, _DROP, 10),  # a fragment that is not the first has no ports
    (_LDX_MSH, 0),
    (_LDH_X, 0),
    (_JEQ, _BGP_PORT, _ACCEPT, 13),
    (_LDH_X, 2),
    (_JEQ, _BGP_PORT, _ACCEPT, _DROP),
    (_LDB, 6),
    (_JEQ, _TCP, 17, _DROP),
    (_LDH, 40),
    (_JEQ, _BGP_PORT, _ACCEPT, 19),
    (_LDH, 42),
    (_JEQ, _BGP_PORT, _ACCEPT, _DROP),
    (_RET, 0x40000),
    (_RET, 0),
]
"""The filter from the IP header on: (opcode, operand, then, else), jumps to absolute lines."""


def _assemble(program: list[tuple[int, ...]]) -> bytes:
    lines = []
    for at, (code, operand, *jumps) in enumerate(program):
        then, otherwise = (target - at - 1 for target in jumps) if jumps else (0, 0)
        lines.append(struct.pack("=HBBI", code, then, otherwise, operand))
    return b"".join(lines)


@contextmanager
def inside_network(descriptor: int) -> Iterator[None]:
    """Put the calling thread into the network namespace behind ``descriptor``, and back at the end.

    Raises :class:`CaptureStartError`.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(target: int) -> None:
        if libc.setns(ctypes.c_int(target), ctypes.c_int(_CLONE_NEWNET)) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise CaptureStartError(f"cannot enter the network namespace of descriptor {target}: {reason}")

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(descriptor)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


class Ring:
    """One ring, opened in the calling thread's network namespace, over all its interfaces.

    ``size`` in bytes, rounded down to whole blocks; ``retire_ms``: after so many milliseconds the kernel
    hands over a block that is not full. ``given`` and ``dropped`` are as of the last :meth:`ask`.
    Raises :class:`CaptureStartError` when the kernel refuses.
    """

    def __init__(self, node: str, size: int, retire_ms: int) -> None:
        self.node = node
        self.given = 0
        self.dropped = 0
        self._blocks = max(size, MIN_RING_BYTES) // BLOCK_BYTES
        self._at = 0
        # Protocol 0 receives nothing until the filter is in place and the socket is bound.
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise CaptureStartError(_refused(node, "a packet socket", error)) from error
        try:
            self._memory = self._prepare(retire_ms)
        except OSError as error:
            self._socket.close()
            what = f"a TPACKET_V3 ring of {self._blocks * BLOCK_BYTES >> 10} KiB"
            raise CaptureStartError(_refused(node, what, error)) from error

    def _prepare(self, retire_ms: int) -> mmap.mmap:
        sock, size = self._socket, self._blocks * BLOCK_BYTES
        code = _assemble(_PROGRAM)
        # struct sock_fprog holds a pointer, so the program has to stay alive until the kernel copied it.
        buffer = ctypes.create_string_buffer(code, len(code))
        sock.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("@HP", len(_PROGRAM), ctypes.addressof(buffer)),
        )
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        frames = size // _FRAME_BYTES
        request = struct.pack("=7I", BLOCK_BYTES, self._blocks, _FRAME_BYTES, frames, retire_ms, 0, 0)
        sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        memory = mmap.mmap(sock.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        try:
            _bind_everywhere(sock)
        except OSError:
            memory.close()
            raise
        return memory

    def fileno(self) -> int:
        """Return the descriptor; it is readable when the kernel has handed over a block."""
        return self._socket.fileno()

    def ask(self) -> None:
        """Ask the kernel how many packets it has put into the ring, and how many had no room."""
        # Reading the counters sets them to 0; the first includes the second.
        packets, dropped, _freezes = struct.unpack(
            "=III", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
        )
        self.given += packets - dropped
        self.dropped += dropped

    def read(self) -> list[Packet]:
        """Return the packets of all blocks that the kernel has handed over, and give the blocks back."""
        found: list[Packet] = []
        memory, node = self._memory, self.node
        for _ in range(self._blocks):
            begin = self._at * BLOCK_BYTES
            _version, _private, status, count, at = _BLOCK.unpack_from(memory, begin)
            if not status & _TP_STATUS_USER:
                break
            at += begin
            for _packet in range(count):
                following, seconds, nanoseconds, captured, _, _, _, network = _FRAME.unpack_from(memory, at)
                data = at + network
                found.append((seconds * 1_000_000_000 + nanoseconds, node, memory[data : data + captured]))
                at += following
            struct.pack_into("=I", memory, begin + 8, _TP_STATUS_KERNEL)
            self._at = (self._at + 1) % self._blocks
        return found

    def close(self) -> None:
        """Give the ring back to the kernel."""
        self._memory.close()
        self._socket.close()


def _bind_everywhere(sock: socket.socket) -> None:
    """Bind to all interfaces, those to come included; Python's own ``bind`` insists on one interface."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _refused(node: str, what: str, error: OSError) -> str:
    hint = "capture needs CAP_NET_RAW in the node's user namespace and Linux 3.2 or newer"
    if error.errno in (errno.ENOMEM, errno.ENOBUFS):
        hint = "give capture a smaller ring_bytes"
    return f"{node}: the kernel refuses {what}: {error.strerror}: {hint}"

"""Routes in this namespace's kernel that are ours, by their route protocol number (iproute2 does the work).

A program that is started again finds exactly what it installed before, and changes only the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from controller.bgp import Family, Prefix
from controller.machine.errors import KernelRoutesError
from controller.machine.routes import KernelRoute, batch_for


class _Hop(msgspec.Struct):
    gateway: str | None = None


class _Row(msgspec.Struct):
    dst: str
    gateway: str | None = None
    nexthops: list[_Hop] = []


async def read_routes(protocol: int, *, local: bool) -> frozenset[KernelRoute]:
    """Return our routes (in table local, or main) of both families; raises :class:`KernelRoutesError`."""
    table = "local" if local else "main"
    found: set[KernelRoute] = set()
    for family in Family:
        output = await _ip(family, ["-json", "route", "show", "table", table, "proto", str(protocol)])
        for row in msgspec.json.decode(output or b"[]", type=list[_Row]):
            hops = [h.gateway for h in row.nexthops if h.gateway] or ([row.gateway] if row.gateway else [])
            found.add(KernelRoute(_with_length(row.dst, family), tuple(sorted(hops))))
    return frozenset(found)


async def change_routes(have: frozenset[KernelRoute], want: frozenset[KernelRoute], protocol: int) -> None:
    """Make our routes ``want``; raises :class:`KernelRoutesError` with what ``ip`` said first."""
    for family, lines in batch_for(have, want, protocol).items():
        if lines:
            await _ip(family, ["-force", "-batch", "-"], "\n".join(lines).encode() + b"\n")


async def set_routes(want: Iterable[KernelRoute], protocol: int, *, local: bool) -> None:
    """Read what is there, and change the difference only."""
    await change_routes(await read_routes(protocol, local=local), frozenset(want), protocol)


def _with_length(destination: str, family: Family) -> Prefix:
    if destination == "default":
        destination = "::/0" if family is Family.IPV6 else "0.0.0.0/0"
    if "/" not in destination:
        destination += "/128" if family is Family.IPV6 else "/32"
    return Prefix(destination)


async def _ip(family: Family, arguments: list[str], stdin: bytes = b"") -> bytes:
    flag = "-6" if family is Family.IPV6 else "-4"
    try:
        process = await asyncio.create_subprocess_exec(
            "ip",
            flag,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise KernelRoutesError(f"cannot run ip: {error.strerror}: install iproute2") from error
    try:
        output, errors = await process.communicate(stdin)
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip().splitlines() or ["nothing"]
        raise KernelRoutesError(f"ip {flag} {arguments[0]} failed: {said[0]}")
    return output

"""GoBGP's RIB and sessions, by gRPC (:mod:`controller.speakers.gobgp_rpc`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from controller.bgp import Family, Prefix, family_of
from controller.observe.inventory import Node
from controller.observe.readers.errors import ReaderRefusedError, ReaderUnreachableError
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

if TYPE_CHECKING:
    from controller.speakers.gobgp_paths import GobgpPath
    from controller.speakers.gobgp_rpc import GobgpConnection

_T = TypeVar("_T")


def read(node: Node, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return the candidates in GoBGP's Loc-RIB (its table "global")."""

    async def ask(connection: GobgpConnection) -> list[RibRow]:
        families = Family if prefix is None else (family_of(prefix),)
        return [
            path_row(source, path)
            for family in families
            for path in await connection.list_paths("global", family, prefix=prefix)
            if not path.filtered
        ]

    return _run(node, source, deadline_s, ask)


def read_sent(node: Node, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return GoBGP's Adj-RIB-Out towards each established neighbour."""

    async def ask(connection: GobgpConnection) -> list[RibRow]:
        rows: list[RibRow] = []
        for peer in await connection.list_peers():
            family = Family.IPV6 if ":" in peer.address else Family.IPV4
            if peer.established and (prefix is None or family is family_of(prefix)):
                paths = await connection.list_paths("adj-out", family, peer=peer.address, prefix=prefix)
                to = source.owners.get(peer.address)
                rows += [structs.replace(path_row(source, path), from_=to, best=True) for path in paths]
        return rows

    return _run(node, source, deadline_s, ask)


def sessions(node: Node, source: Source, deadline_s: float) -> list[Session]:
    """Return GoBGP's BGP sessions; it tells only whether they are established."""

    async def ask(connection: GobgpConnection) -> list[Session]:
        return [
            Session(
                peer.address,
                source.owners.get(peer.address),
                "Established" if peer.established else "down",
                established=peer.established,
            )
            for peer in await connection.list_peers()
        ]

    return _run(node, source, deadline_s, ask)


def path_row(source: Source, path: GobgpPath) -> RibRow:
    """Return the row of one of GoBGP's paths."""
    return source.row(
        path.prefix,
        best=path.best,
        as_path=path.as_path,
        next_hop=None if path.next_hop is None else source.next_hop([path.next_hop]),
        communities=path.communities,
        neighbour=None if path.peer is None else source.address(path.peer),
    )


def _run(
    node: Node,
    source: Source,
    deadline_s: float,
    ask: Callable[[GobgpConnection], Coroutine[None, None, _T]],
) -> _T:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 (grpc and protobuf are slow to import)

    from controller.speakers.gobgp_rpc import connect  # noqa: PLC0415
    from controller.speakers.protocol import SpeakerDownError, SpeakerError  # noqa: PLC0415

    path = Path(node.run) / "gobgp" / "gobgp.sock"

    async def talk() -> _T:
        async with asyncio.timeout(deadline_s), await connect(str(path), timeout=deadline_s) as connection:
            return await ask(connection)

    where = f"{source.node} (gobgp) cannot be read at {path}"
    try:
        return asyncio.run(talk())
    except TimeoutError as error:
        raise ReaderUnreachableError(f"{where}: no answer within {deadline_s:g} s") from error
    except SpeakerDownError as error:
        # gRPC's own words are long, and name the same socket three times; they stay in the cause.
        raise ReaderUnreachableError(f"{where}: nobody answers; is it running?") from error
    except SpeakerError as error:
        raise ReaderRefusedError(f"{where}: {error}") from error
    except DecodeError as error:
        raise source.garbled("GoBGP's messages", str(error)) from error

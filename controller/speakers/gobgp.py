"""Driver for GoBGP 3.x over its gRPC socket (imported when a site has one: grpc is slow to import).

GoBGP prepends its own AS on eBGP sessions, so it is given the path without the first; the unspecified next
hop becomes each session's own address. It validates nothing but syntax: the envelope is the agent's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from controller.bgp import Family, Prefix, PrefixError, Route, parse_prefix
from controller.observe.rib import RibRow
from controller.speakers.gobgp_paths import GobgpPath, LocalPath
from controller.speakers.gobgp_rpc import GobgpCallError, GobgpConnection, connect
from controller.speakers.protocol import SpeakerDownError, SpeakerRefusedError

PATHS_A_CALL = 1000


class GobgpSpeaker:
    """A GoBGP daemon; implements ``speakers.protocol.Speaker``."""

    name = "gobgp"

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._connection: GobgpConnection | None = None
        self._has: dict[Prefix, Route] = {}
        self._turn = asyncio.Lock()

    async def attach(self) -> frozenset[Route]:
        """Connect and read back GoBGP's own paths (see the protocol)."""
        await self.close()
        connection = await connect(self._socket)
        try:
            self._has = {r.prefix: r for r in await _own_routes(connection)}
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return frozenset(self._has.values())

    async def set(self, routes: frozenset[Route]) -> None:
        """Announce exactly ``routes`` (see the protocol); announcements go before withdrawals."""
        refused: list[Prefix] = []
        async with self._turn:
            connection = self._attached()
            wanted = {r.prefix: _canonical(r) for r in routes}
            for route in list(wanted.values()):
                if not _sound(route, connection.local_as):
                    refused.append(route.prefix)
                    wanted.pop(route.prefix)
            work = deque(
                _parts([r for p, r in sorted(wanted.items()) if self._has.get(p) != r], withdraw=False)
            )
            work.extend(_parts([r for p, r in sorted(self._has.items()) if p not in wanted], withdraw=True))
            while work:
                routes_now, withdraw = work.popleft()
                if await self._write(connection, routes_now, withdraw):
                    continue
                if len(routes_now) > 1:
                    middle = len(routes_now) // 2
                    work.extendleft([(routes_now[middle:], withdraw), (routes_now[:middle], withdraw)])
                else:
                    refused.append(routes_now[0].prefix)
        if refused:
            named = ", ".join(refused[:5]) + (f" and {len(refused) - 5} more" if len(refused) > 5 else "")
            raise SpeakerRefusedError(
                f"GoBGP was not given, or refused, {named}: prefix or path is malformed", frozenset(refused)
            )

    async def _write(self, connection: GobgpConnection, routes: list[Route], withdraw: bool) -> bool:
        """Write some routes in one call; tell whether GoBGP took them, and remember what it has now."""
        try:
            await connection.write(_local_path(r, withdraw) for r in routes)
        except GobgpCallError:
            return False
        for route in routes:
            if withdraw:
                self._has.pop(route.prefix, None)
            else:
                self._has[route.prefix] = route
        return True

    async def adj_rib_out(self) -> list[RibRow]:
        """Return what GoBGP sends to each established neighbour (see the protocol).

        Each neighbour is asked for the family of its own address: a session carries one family.
        """
        connection = self._attached()
        rows: list[RibRow] = []
        for peer in await connection.list_peers():
            if not peer.established:
                continue
            family = Family.IPV6 if ":" in peer.address else Family.IPV4
            paths = await connection.list_paths("adj-out", family, peer=peer.address)
            rows.extend(_row(path, peer.address) for path in paths)
        return rows

    async def lost(self) -> None:
        """Return when GoBGP has gone, or no longer answers."""
        if self._connection is not None:
            await self._connection.gone()

    async def close(self) -> None:
        """Let go of GoBGP; it keeps announcing."""
        connection, self._connection = self._connection, None
        self._has = {}
        if connection is not None:
            await connection.close()

    def _attached(self) -> GobgpConnection:
        if self._connection is None:
            raise SpeakerDownError(f"not attached to GoBGP at {self._socket}: attach first")
        return self._connection


async def _own_routes(connection: GobgpConnection) -> list[Route]:
    return [
        Route(
            path.prefix,
            (connection.local_as, *(asn for asn in path.as_path if isinstance(asn, int))),
            tuple(sorted(path.communities)),
        )
        for family in Family
        for path in await connection.list_paths("global", family)
        if path.peer is None
    ]


def _canonical(route: Route) -> Route:
    return Route(route.prefix, route.as_path, tuple(sorted(set(route.communities))))


def _parts(routes: list[Route], *, withdraw: bool) -> Iterable[tuple[list[Route], bool]]:
    return [(routes[i : i + PATHS_A_CALL], withdraw) for i in range(0, len(routes), PATHS_A_CALL)]


def _sound(route: Route, local_as: int) -> bool:
    """Tell whether GoBGP can be trusted with the route: it would announce a malformed prefix as it is."""
    try:
        parse_prefix(route.prefix)
    except PrefixError:
        return False
    return route.as_path[:1] == (local_as,)


def _local_path(route: Route, withdraw: bool) -> LocalPath:
    return LocalPath(route.prefix, route.as_path[1:], route.communities, withdraw)


def _row(path: GobgpPath, neighbour: str) -> RibRow:
    return RibRow(
        node="",
        daemon="gobgp",
        prefix=path.prefix,
        best=True,
        as_path=path.as_path,
        next_hop=path.next_hop,
        communities=path.communities,
        from_=neighbour,
    )

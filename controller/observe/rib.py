"""The one typed form in which every RIB reader answers (pure)."""

from __future__ import annotations

import msgspec

from controller.bgp import Prefix


class RibRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One candidate in a node's Loc-RIB (or, for ``--sent``, one row of a site's Adj-RIB-Out).

    ``as_path`` is as received, without the node's own AS, AS_SETs as nested tuples; ``next_hop`` the
    global address; ``from_`` the neighbour's node name (None for a local route or an unknown neighbour);
    ``communities`` as ``"64500:1"``.
    """

    node: str
    daemon: str
    prefix: Prefix
    best: bool
    as_path: tuple[int | tuple[int, ...], ...]
    next_hop: str | None
    communities: tuple[str, ...] = ()
    from_: str | None = None

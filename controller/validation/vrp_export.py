"""Reads VRP exports in the JSON that rpki-client, stayrtr and Routinator share (pure).

``{"metadata": {…}, "roas": [{"asn": "AS64500" | 64500, "prefix", "maxLength", "ta", "expires"?}]}``. Other
members at the top (ASPAs, router keys) are of no use here and passed over; an entry of ``roas`` with
another field, or a wrong one, makes the whole export an error: half a set must not be taken for a set.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from controller.validation.errors import ExportError
from controller.validation.vrps import Key, Vrp, VrpSet

AS_NUMBER = re.compile(r"(?:AS)?([0-9]{1,10})", re.ASCII | re.IGNORECASE)


class _Roa(msgspec.Struct, forbid_unknown_fields=True):
    asn: str | int
    prefix: str
    maxLength: int  # noqa: N815 (the format's name)
    ta: str = ""
    expires: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None


class _Export(msgspec.Struct):
    roas: list[_Roa]
    metadata: dict[str, Any] = {}  # msgspec copies it


@dataclass(frozen=True, slots=True)
class Export:
    """``built_at``: when the export says that it was made, None when it does not."""

    vrps: VrpSet
    built_at: datetime | None


def read_export(body: bytes, name: str) -> Export:
    """Return what an export holds; ``name`` is what errors call its source.

    The same VRP under several trust anchors counts once, with the latest end. Raises :class:`ExportError`
    naming the first entry that is wrong.
    """
    try:
        export = msgspec.json.decode(body, type=_Export, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ExportError(f"{name} is no VRP export: {error}") from error
    expires: dict[Vrp, int] = {}
    endless: set[Vrp] = set()
    for index, roa in enumerate(export.roas):
        try:
            vrp = _vrp(roa)
        except ValueError as error:
            raise ExportError(f"{name}: roas[{index}] {error}") from error
        if roa.expires is None:
            endless.add(vrp)
        else:
            expires[vrp] = max(roa.expires, expires.get(vrp, 0))
    ends = {v: at for v, at in expires.items() if v not in endless}
    return Export(VrpSet(endless | expires.keys(), ends), _built_at(export.metadata))


def _built_at(metadata: dict[str, Any]) -> datetime | None:
    """Return rpki-client's ``buildtime`` or Routinator's and stayrtr's ``generated``."""
    text, seconds = metadata.get("buildtime"), metadata.get("generated")
    try:
        if isinstance(text, str):
            found = datetime.fromisoformat(text)
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        if isinstance(seconds, int):
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _vrp(roa: _Roa) -> Vrp:
    """Return the entry as a VRP; raises ValueError that says what is wrong with which field."""
    match = AS_NUMBER.fullmatch(str(roa.asn))
    if match is None or int(match[1]) >= 2**32:
        raise ValueError(f"asn {roa.asn!r} is no AS number")
    if "/" not in roa.prefix:
        raise ValueError(f"prefix {roa.prefix!r} has no length")
    network = ipaddress.ip_network(roa.prefix)
    if not network.prefixlen <= roa.maxLength <= network.max_prefixlen:
        fits = f"{network.prefixlen} to {network.max_prefixlen}"
        raise ValueError(f"maxLength {roa.maxLength} of {roa.prefix} is not from {fits}")
    key = Key(network.version, int(network.network_address), network.prefixlen)
    return Vrp(key, roa.maxLength, int(match[1]))

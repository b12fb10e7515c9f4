"""What may leave this site at all, judged from the chunk alone (pure; SAFETY 1, "additive")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.bgp import Prefix, PrefixError, covers, family_of, parse_prefix
from controller.snapshots.model import BgpPrefixObject, Chunk, PrefixObject

MOST_PREPENDS = 3
LARGEST_ASN = 2**32 - 2


def owners_of(chunks: Iterable[Chunk]) -> dict[Prefix, str]:
    """Return which account holds each BGP prefix at this site."""
    return {bgp.cidr: chunk.account_id for chunk in chunks for bgp in chunk.bgp_prefixes}


def outside_envelope(chunk: Chunk, owners: Mapping[Prefix, str]) -> str | None:
    """Return why ``chunk`` must not be carried out, or None.

    ``owners``: which account holds each BGP prefix at this site; no two accounts may hold one.
    """
    onboarded = {p.id: p for p in chunk.prefixes}
    seen: set[Prefix] = set()
    for bgp in chunk.bgp_prefixes:
        reason = _route_reason(bgp, onboarded.get(bgp.prefix_id))
        if reason is None and bgp.cidr in seen:
            reason = "it stands there twice"
        if reason is not None:
            return f"BGP prefix {bgp.cidr}: {reason}"
        seen.add(bgp.cidr)
    for binding in chunk.bindings:
        parent = onboarded.get(binding.prefix_id)
        if _malformed(binding.cidr) or parent is None or not covers(parent.cidr, binding.cidr):
            return f"binding {binding.cidr} lies outside the account's onboarded prefixes"
    taken = sorted(cidr for cidr in seen if owners.get(cidr, chunk.account_id) != chunk.account_id)
    return f"BGP prefix {taken[0]} is account {owners[taken[0]]}'s" if taken else None


def _route_reason(bgp: BgpPrefixObject, parent: PrefixObject | None) -> str | None:
    if _malformed(bgp.cidr):
        return "it is not a canonical prefix"
    if parent is None or _malformed(parent.cidr) or not covers(parent.cidr, bgp.cidr):
        return "it lies outside the account's onboarded prefixes"
    length, longest = int(bgp.cidr.partition("/")[2]), family_of(bgp.cidr).longest
    origin_fits = bgp.asn is None or (bgp.asn == parent.asn and 0 < bgp.asn <= LARGEST_ASN)
    rules = (
        (length > 0, "a default route never leaves a site"),
        (length <= longest, f"it is longer than /{longest}"),
        (origin_fits, f"AS {bgp.asn} is not the origin that {parent.cidr} is onboarded with"),
        (0 <= bgp.prepends <= MOST_PREPENDS, f"{bgp.prepends} prepends are not 0 to {MOST_PREPENDS}"),
    )
    return next((reason for kept, reason in rules if not kept), None)


def _malformed(cidr: Prefix) -> bool:
    try:
        return parse_prefix(cidr) != cidr
    except PrefixError:
        return True

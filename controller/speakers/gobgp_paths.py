"""GoBGP's path messages ⇄ Herald's values (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from controller.bgp import AsPath, Family, Prefix, family_of
from controller.speakers.gobgp_pb import gobgp_pb2 as pb

NO_NEIGHBOUR = ("", "<nil>", "invalid IP")
"""What GoBGP writes in place of a neighbour's address for a path of its own."""


@dataclass(frozen=True, slots=True)
class GobgpPath:
    """One path of a table. ``peer``: the neighbour it came from, None for a path of GoBGP's own.

    In ``adj-out``, ``as_path`` and ``next_hop`` are what the neighbour is sent.
    """

    prefix: Prefix
    as_path: AsPath
    next_hop: str | None
    communities: tuple[str, ...]
    peer: str | None
    best: bool
    stale: bool
    filtered: bool


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A path to add to (or, ``withdraw``, to take from) GoBGP's own; ``as_path`` without its own AS."""

    prefix: Prefix
    as_path: tuple[int, ...] = ()
    communities: tuple[str, ...] = ()
    withdraw: bool = False


def family_message(family: Family) -> pb.Family:
    """Return the family with SAFI unicast as GoBGP writes it."""
    afi = pb.Family.AFI_IP6 if family is Family.IPV6 else pb.Family.AFI_IP
    return pb.Family(afi=afi, safi=pb.Family.SAFI_UNICAST)


def path_message(path: LocalPath) -> pb.Path:
    """Return the message for a local path; the unspecified next hop becomes the session's own address."""
    address, _, length = path.prefix.partition("/")
    family = family_of(path.prefix)
    nlri = pb.IPAddressPrefix(prefix=address, prefix_len=int(length))
    attributes: list[Message] = [pb.OriginAttribute(origin=0)]
    if path.as_path:
        segment = pb.AsSegment(type=pb.AsSegment.AS_SEQUENCE, numbers=path.as_path)
        attributes.append(pb.AsPathAttribute(segments=[segment]))
    if family is Family.IPV4:
        attributes.append(pb.NextHopAttribute(next_hop="0.0.0.0"))
    else:
        attributes.append(
            pb.MpReachNLRIAttribute(family=family_message(family), next_hops=["::"], nlris=[_any(nlri)])
        )
    if path.communities:
        attributes.append(pb.CommunitiesAttribute(communities=[_number(c) for c in path.communities]))
    return pb.Path(
        nlri=_any(nlri),
        pattrs=[_any(attribute) for attribute in attributes],
        family=family_message(family),
        is_withdraw=path.withdraw,
    )


def read_path(prefix: Prefix, message: pb.Path) -> GobgpPath:
    """Return the values of a path of the destination ``prefix``; unknown attributes are passed over."""
    as_path: AsPath = ()
    next_hop: str | None = None
    communities: tuple[str, ...] = ()
    for attribute in message.pattrs:
        kind = attribute.type_url.rpartition(".")[2]
        if kind == "AsPathAttribute":
            as_path = _flatten(pb.AsPathAttribute.FromString(attribute.value).segments)
        elif kind == "NextHopAttribute":
            next_hop = pb.NextHopAttribute.FromString(attribute.value).next_hop
        elif kind == "MpReachNLRIAttribute":
            # Two for IPv6 with a link-local address; the global one stands first (RFC 2545, 3).
            hops = pb.MpReachNLRIAttribute.FromString(attribute.value).next_hops
            next_hop = hops[0] if hops else next_hop
        elif kind == "CommunitiesAttribute":
            numbers = pb.CommunitiesAttribute.FromString(attribute.value).communities
            communities = (*(f"{n >> 16}:{n & 0xFFFF}" for n in numbers), *communities)
        elif kind == "LargeCommunitiesAttribute":
            large = pb.LargeCommunitiesAttribute.FromString(attribute.value).communities
            texts = (f"{c.global_admin}:{c.local_data1}:{c.local_data2}" for c in large)
            communities = (*communities, *texts)
    return GobgpPath(
        prefix=prefix,
        as_path=as_path,
        next_hop=next_hop,
        communities=communities,
        peer=None if message.neighbor_ip in NO_NEIGHBOUR else message.neighbor_ip,
        best=message.best,
        stale=message.stale,
        filtered=message.filtered,
    )


def _any(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)  # the type's full name is GoBGP's own
    return packed


def _flatten(segments: Iterable[pb.AsSegment]) -> AsPath:
    found: list[int | tuple[int, ...]] = []
    for segment in segments:
        if segment.type in (pb.AsSegment.AS_SET, pb.AsSegment.AS_CONFED_SET):
            found.append(tuple(segment.numbers))
        else:
            found.extend(segment.numbers)
    return tuple(found)


def _number(community: str) -> int:
    high, _, low = community.partition(":")
    return (int(high) << 16) | int(low)

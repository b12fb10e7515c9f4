"""One customer's way through the whole API, as calls of the SDK: told once, walked sync and async.

The scenario yields each :class:`Call` and is sent what the SDK answered (a list for a page). It leaves
nothing advertised, bound, delegated or mapped; its accounts, letters and one approved prefix stay.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

LETTER = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


@dataclass(frozen=True)
class Call:
    """A method by its dotted name, with what it is given."""

    name: str
    args: tuple[Any, ...] = ()
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ground:
    """What the walk stands on. ``whole`` is a /23, ``part`` a /24 in it, ``spare`` a prefix beside it."""

    account: str
    other: str
    service: str
    whole: str
    part: str
    spare: str
    ip: str


@dataclass(frozen=True)
class Approve:
    """Something that is no call of the SDK: an operator approves the prefix."""

    prefix_id: str


Scenario = Generator[Call | Approve, Any, None]


def whole_way(ground: Ground) -> Scenario:
    """Give all calls in an order in which each can succeed."""
    a = {"account_id": ground.account}
    letter = yield Call("loa_documents.create", (), {**a, "loa_document": LETTER})
    content = yield Call("loa_documents.get", (letter.id,), a)
    assert content == LETTER.encode(), "the letter is not what was uploaded"
    yield Call("services.list", (), a)
    yield Call("regional_hostnames.regions.list", (), a)
    spare = yield Call(
        "prefixes.create", (), {**a, "asn": 64511, "cidr": ground.spare, "description": "spare"}
    )
    yield Call("prefixes.delete", (spare.id,), a)
    prefix = yield Call(
        "prefixes.create",
        (),
        {
            **a, "asn": 64511, "cidr": ground.whole, "description": "walk", "loa_document_id": letter.id,
            "delegate_loa_creation": True,
        },
    )  # fmt: skip
    yield Call("prefixes.validate", (prefix.id,), a)
    yield Approve(prefix.id)
    yield Call("prefixes.list", (), a)
    yield Call("prefixes.get", (prefix.id,), a)
    edited = yield Call("prefixes.edit", (prefix.id,), {**a, "description": "walked"})
    assert (edited.description, edited.approved) == ("walked", "V")
    yield from _bind_and_advertise(ground, prefix.id)


def _bind_and_advertise(ground: Ground, prefix_id: str) -> Scenario:
    a = {"account_id": ground.account}
    of = {**a, "prefix_id": prefix_id}
    bindings, bgp = "prefixes.service_bindings.", "prefixes.bgp_prefixes."
    default = yield Call(
        bindings + "create", (prefix_id,), {**a, "cidr": ground.whole, "service_id": ground.service}
    )
    yield Call(bindings + "get", (default.id,), of)
    yield Call(bindings + "list", (prefix_id,), a)
    (whole,) = yield Call(bgp + "list", (prefix_id,), a)
    assert (whole.cidr, whole.on_demand.advertised) == (ground.whole, False), "it is not born withdrawn"
    part = yield Call(bgp + "create", (prefix_id,), {**a, "cidr": ground.part})
    yield Call(bgp + "get", (part.id,), of)
    for wanted in (True, False):
        edited = yield Call(bgp + "edit", (part.id,), {**of, "on_demand": {"advertised": wanted}})
        assert edited.on_demand.advertised is wanted
        status = yield Call("prefixes.advertisement_status.edit", (prefix_id,), {**a, "advertised": wanted})
        assert status.advertised is wanted
        yield Call("prefixes.advertisement_status.get", (prefix_id,), a)
    yield Call(bgp + "edit", (part.id,), {**of, "asn_prepend_count": 2, "auto_advertise_withdraw": True})
    yield Call(bgp + "delete", (part.id,), of)
    yield from _delegate(ground, prefix_id)
    yield from _map(ground)
    yield Call(bindings + "delete", (default.id,), of)


def _delegate(ground: Ground, prefix_id: str) -> Scenario:
    a = {"account_id": ground.account}
    name = "prefixes.delegations."
    made = yield Call(
        name + "create", (prefix_id,), {**a, "cidr": ground.part, "delegated_account_id": ground.other}
    )
    listed = yield Call(name + "list", (prefix_id,), a)
    assert [d.id for d in listed] == [made.id]
    ended = yield Call(name + "delete", (made.id,), {**a, "prefix_id": prefix_id})
    assert ended.id == made.id


def _map(ground: Ground) -> Scenario:
    a = {"account_id": ground.account}
    member = {"identifier": ground.account, "kind": "account"}
    made = yield Call(
        "address_maps.create",
        (),
        {**a, "description": "walk", "enabled": True, "ips": [ground.ip], "memberships": [member]},
    )
    yield Call("address_maps.list", (), a)
    in_it = {**a, "address_map_id": made.id}
    who = {"address_map_id": made.id, "account_id": ground.account}
    yield Call("address_maps.get", (made.id,), a)
    yield Call("address_maps.ips.delete", (ground.ip,), in_it)
    yield Call("address_maps.ips.update", (ground.ip,), in_it)
    yield Call("address_maps.accounts.delete", (ground.account,), who)
    yield Call("address_maps.accounts.update", (ground.account,), who)
    yield Call(
        "address_maps.edit",
        (made.id,),
        {**a, "default_sni": "www.example.com", "description": "walked", "enabled": False},
    )
    yield Call("address_maps.get", (made.id,), a)
    yield Call("address_maps.delete", (made.id,), a)

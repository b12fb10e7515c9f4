"""What does not fit the operational state is refused whole, and the error says what and why."""

from __future__ import annotations

import pytest

from controller.bgp import Prefix
from controller.snapshots.compile import (
    CompileError,
    InvalidChunkError,
    MalformedChangeError,
    MovedObjectError,
    UnknownObjectError,
    WrongAccountError,
    apply,
)
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    PrefixObject,
)

NET = Prefix("192.0.2.0/24")
WIDE = Prefix("198.18.0.0/22")
PREFIX = PrefixObject("p", NET, None)
BINDING = BindingObject("b", "p", NET, "cdn")
BGP = BgpPrefixObject("g", "p", NET, None, advertised=True)
BOUND = Chunk("acme", (PREFIX,), (), (BINDING,))
ON_AIR = Chunk("acme", (PREFIX,), (BGP,), (BINDING,))


def changing(*changes: Change, account: str = "acme") -> ChangeSet:
    return ChangeSet("cs1", account, "test", "", "2026-01-01T00:00:00Z", changes)


def bgp(cidr: str, *, prefix_id: str = "p", prepends: int = 0, id_: str = "x") -> Change:
    return Change(
        bgp_prefix=BgpPrefixObject(id_, prefix_id, Prefix(cidr), None, advertised=True, prepends=prepends)
    )


@pytest.mark.parametrize(
    ("chunk", "change_set", "error", "says"),
    [
        (BOUND, changing(account="globex"), WrongAccountError, "is for account globex"),
        (BOUND, changing(Change()), MalformedChangeError, "exactly one thing"),
        (BOUND, changing(Change(prefix=PREFIX, binding=BINDING)), MalformedChangeError, "exactly one thing"),
        (BOUND, changing(Change(remove=("binding", "z"))), UnknownObjectError, "cannot remove binding z"),
        (None, changing(Change(remove=("prefix", "p"))), UnknownObjectError, "cannot remove prefix p"),
        (None, changing(Change(bgp_prefix=BGP)), UnknownObjectError, "stands on prefix p, which is not"),
        (None, changing(Change(binding=BINDING)), UnknownObjectError, "stands on prefix p, which is not"),
        (ON_AIR, changing(Change(remove=("prefix", "p"))), UnknownObjectError, "stands on prefix p"),
        (ON_AIR, changing(Change(remove=("binding", "b"))), InvalidChunkError, "nothing is bound to it"),
        (
            BOUND,
            changing(bgp("198.51.100.0/24")),
            InvalidChunkError,
            "does not lie in its prefix 192.0.2.0/24",
        ),
        (BOUND, changing(bgp("192.0.2.0/25")), InvalidChunkError, "length of 1 to 24"),
        (BOUND, changing(bgp("192.0.2.1/24")), InvalidChunkError, "host bits set"),
        (BOUND, changing(bgp("192.0.2.0/24", prepends=4)), InvalidChunkError, "4 prepends"),
        (BOUND, changing(bgp("192.0.2.0/24", prepends=-1)), InvalidChunkError, "-1 prepends"),
        (ON_AIR, changing(bgp("192.0.2.0/24")), InvalidChunkError, "is there twice"),
        (
            BOUND,
            changing(Change(prefix=PrefixObject("p", WIDE, None))),
            MovedObjectError,
            "cannot become 198.18.0.0/22",
        ),
        (
            None,
            changing(
                Change(prefix=PrefixObject("p", Prefix("0.0.0.0/0"), None)),
                Change(binding=BindingObject("b", "p", Prefix("0.0.0.0/0"), "cdn")),
                bgp("0.0.0.0/0"),
            ),
            InvalidChunkError,
            "length of 1 to 24",
        ),
        (
            None,
            changing(Change(prefix=PrefixObject("p", Prefix("2001:DB8::/32"), None))),
            InvalidChunkError,
            "canonical form",
        ),
    ],
)
def test_refusals(chunk: Chunk | None, change_set: ChangeSet, error: type[CompileError], says: str) -> None:
    with pytest.raises(error, match=says.replace(".", r"\.")) as caught:
        apply(chunk, change_set)
    assert "\n" not in str(caught.value)


def test_only_the_result_counts_not_the_order_within_a_set() -> None:
    puts = (Change(bgp_prefix=BGP), Change(binding=BINDING), Change(prefix=PREFIX))
    assert apply(None, changing(*puts)) == ON_AIR


def test_everything_may_go_and_leaves_an_empty_chunk() -> None:
    removals = [Change(remove=("prefix", "p")), Change(remove=("bgp_prefix", "g"))]
    assert apply(ON_AIR, changing(*removals, Change(remove=("binding", "b")))) == Chunk("acme")


def test_a_binding_within_a_wider_bgp_prefix_carries_it() -> None:
    part = Prefix("198.18.1.0/24")
    chunk = apply(
        None,
        changing(
            Change(prefix=PrefixObject("p", WIDE, 64511)),
            Change(binding=BindingObject("b", "p", part, "cdn")),
            bgp(WIDE),
        ),
    )
    assert [b.cidr for b in chunk.bgp_prefixes] == [WIDE]

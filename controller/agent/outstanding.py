"""Withdrawals that were let go and are not carried out yet: what the budget must know of them (pure; I1).

The budget counts a withdrawal when the guard lets it go. That is when it goes only if the speaker carries it
out at once. One that is away would save up what several windows let go, and drop all of it in a moment when
it is back. So nothing more is let go while the speaker is away, or has not carried out what was let go;
and what it carries out late is charged anew, for the window in which it really went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet

from controller.agent.journal_records import Charge, Released
from controller.bgp import Prefix
from controller.safety.budget import Budget, Limit, Reading

LATE_S = 1.0
"""Seconds from letting go until a withdrawal that is carried out is late."""


def still_out(
    going: Iterable[Prefix], reach: AbstractSet[Prefix] | None, desired: Collection[Prefix]
) -> frozenset[Prefix]:
    """Return what was let go and may be announced all the same; what is desired again goes nowhere."""
    return frozenset(p for p in going if (reach is None or p in reach) and p not in desired)


def why_busy(out: Collection[Prefix], reach: AbstractSet[Prefix] | None) -> str:
    """Say why no further withdrawal may be let go now; empty: one may."""
    if reach is None:
        return "the speaker cannot be reached: what is let go now would go at a moment that nobody counts"
    if out:
        return f"{len(out)} withdrawals were let go and are not carried out yet"
    return ""


def charged_anew(
    since: Mapping[Prefix, float],
    out: Collection[Prefix],
    *,
    name: str,
    budget: Budget,
    now: Reading,
    limits: tuple[Limit, ...],
) -> Released | None:
    """Return the record that charges what was carried out late; None: nothing was.

    ``since``: what was out, by the budget's clock (``passed_s``) when it was let go; what is not ``out`` any
    more has been carried out.
    """
    passed = budget.at(now).passed_s
    late = tuple(sorted(p for p, at in since.items() if p not in out and passed - at > LATE_S))
    if not late:
        return None
    charged = budget.charge(late, now, limits)
    return Released((), (), {name: Charge(charged.passed_s, charged.boot_id, charged.monotonic_s, late)})

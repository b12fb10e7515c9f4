"""Which of its bindings a machine says are absent, though it holds their set (pure; SAFETY.md, 7).

A binding is absent when somebody has told the machine so (its own service check, or a person), or when its
``local`` route has gone from the kernel and cannot be put back. What was told lapses by itself unless it is
told again: a check that has died says nothing, and silence takes nothing away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.bgp import Prefix, PrefixError, parse_prefix
from controller.transport.messages import AbsenceReport, BindingSet

LONGEST_S = 3600.0
"""Seconds that one telling lasts at most."""


@dataclass(frozen=True, slots=True)
class Absences:
    """``told``: until when (seconds of the machine's monotonic clock) each prefix's bindings are absent.

    ``lost``: those whose route the kernel does not have.
    """

    told: Mapping[Prefix, float] = field(default_factory=dict)
    lost: frozenset[Prefix] = frozenset()

    def hear(self, report: AbsenceReport, now: float) -> Absences:
        """Return this after a report; it replaces all that was told before."""
        return Absences(dict.fromkeys(report.absent, now + report.for_s), self.lost)

    def among(self, held: BindingSet, now: float) -> tuple[Prefix, ...]:
        """Return the prefixes of ``held`` bindings that are absent ``now``; others are of no matter."""
        absent = self.lost | {prefix for prefix, until in self.told.items() if until > now}
        return tuple(sorted({b.cidr for b in held.bindings} & absent))


def wrong_report(report: AbsenceReport) -> str | None:
    """Return what is wrong with a report, and what to do; None: nothing."""
    if not 0 < report.for_s <= LONGEST_S:
        return (
            f"for_s is {report.for_s:g}: seconds above 0 and up to {LONGEST_S:g}; repeat it to make it last"
        )
    wrong = [prefix for prefix in report.absent if not _is_canonical(prefix)]
    return f"{wrong[0]!r} is no prefix: write it as in 192.0.2.0/24" if wrong else None


def lost_of(held: Iterable[Prefix], kernel: Iterable[Prefix]) -> frozenset[Prefix]:
    """Return the held prefixes whose routes are not in the kernel."""
    return frozenset(held) - frozenset(kernel)


def _is_canonical(prefix: Prefix) -> bool:
    try:
        return parse_prefix(prefix) == prefix
    except PrefixError:
        return False

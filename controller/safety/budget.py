"""A withdrawal budget in several windows, on time that has provably passed (pure): SAFETY.md, 3.

Each withdrawal counts, whatever caused it. The only clock is a monotonic one, together with the id of the
boot that it belongs to: between two readings of one boot the difference has passed; over a reboot, and when a
reading lies before an older one, nothing has. So neither a wall clock that jumps, nor a restart, nor a
machine that is put back to an older picture of itself, ever refills a budget; at worst it refills later.

A budget is a value to be written down *before* what was allowed is carried out. One that cannot be read
again is :meth:`Budget.exhausted`, never a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from controller.bgp import Prefix, prefix_key

REMEMBERED_S = 86400.0
"""Withdrawals are remembered for so long at least: a longer window that is put in later counts them."""


class Reading(msgspec.Struct, frozen=True):
    """What the clocks say: the id of this boot (Linux: ``/proc/sys/kernel/random/boot_id``), and the seconds
    of its monotonic clock."""

    boot_id: str
    monotonic_s: float


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most ``number`` withdrawals in any ``seconds``."""

    seconds: float
    number: int


class Spent(msgspec.Struct, frozen=True):
    """One withdrawal of ``prefix``, when ``at_s`` had passed."""

    at_s: float
    prefix: Prefix


class Spending(msgspec.Struct, frozen=True):
    """What of a wish is allowed, and the ``budget`` after it.

    ``wait_s``: seconds after which more of ``held`` fits; None: nothing is held, or no limit allows any.
    ``limit``: the one that holds them.
    """

    budget: Budget
    allowed: tuple[Prefix, ...]
    held: tuple[Prefix, ...] = ()
    wait_s: float | None = None
    limit: Limit | None = None

    @property
    def says(self) -> str:
        """Say in one line why the rest is held; empty when nothing is."""
        if self.limit is None:
            return ""
        when = "never by itself" if self.wait_s is None else f"in {self.wait_s:.0f} s"
        asked = len(self.held) + len(self.allowed)
        return (
            f"{len(self.held)} of {asked} withdrawals are held: this site allows "
            f"{self.limit.number} in {self.limit.seconds:g} s; more will be allowed {when}, or by an override"
        )


class Budget(msgspec.Struct, frozen=True):
    """What has been spent, and how much time has provably passed since the first reading (``passed_s``).

    ``boot_id`` and ``monotonic_s``: the newest reading that time was counted up to.
    """

    passed_s: float = 0.0
    boot_id: str = ""
    monotonic_s: float = 0.0
    spent: tuple[Spent, ...] = ()

    def at(self, now: Reading) -> Budget:
        """Return the budget at ``now``, with what has passed since the last reading."""
        if now.boot_id != self.boot_id:
            return msgspec.structs.replace(self, boot_id=now.boot_id, monotonic_s=now.monotonic_s)
        gone = now.monotonic_s - self.monotonic_s
        if not gone > 0:
            # Not even the place of the clock is taken over: else going back and forth would make time.
            return self
        return msgspec.structs.replace(self, passed_s=self.passed_s + gone, monotonic_s=now.monotonic_s)

    def room(self, limits: Iterable[Limit], now: Reading) -> int:
        """Return how many withdrawals fit at ``now``; zero with no limits at all (nothing is unlimited)."""
        budget = self.at(now)
        return max(0, min((limit.number - budget._within(limit) for limit in limits), default=0))

    def try_spend(self, prefixes: Iterable[Prefix], now: Reading, limits: Sequence[Limit]) -> Spending:
        """Return which of ``prefixes`` may be withdrawn at ``now`` under each of ``limits``, in order.

        A prefix counts each time that it is withdrawn. The first ones in the order of prefixes are taken, so
        that the same wish again gives the same answer.
        """
        budget = self.at(now)
        wanted = sorted(set(prefixes), key=prefix_key)
        fits = budget.room(limits, now)
        allowed, held = tuple(wanted[:fits]), tuple(wanted[fits:])
        budget = budget._with(allowed, limits)
        if not held:
            return Spending(budget, allowed)
        wait, limit = budget._wait(limits)
        return Spending(budget, allowed, held, wait, limit)

    def charge(self, prefixes: Collection[Prefix], now: Reading, limits: Sequence[Limit]) -> Budget:
        """Return the budget after withdrawals that nobody could ask about, or that an override allowed.

        They count like any other: what comes after them has less room.
        """
        return self.at(now)._with(sorted(set(prefixes), key=prefix_key), limits)

    @classmethod
    def exhausted(cls, limits: Sequence[Limit], now: Reading) -> Budget:
        """Return a budget of which all was spent just now: the one of a state that is lost or damaged."""
        most = max((limit.number for limit in limits), default=0)
        unknown = tuple(Spent(0.0, Prefix("0.0.0.0/0")) for _ in range(most))
        return cls(0.0, now.boot_id, now.monotonic_s, unknown)

    def _within(self, limit: Limit) -> int:
        """Count what was spent in the limit's window; exactly ``seconds`` ago is outside of it."""
        begin = self.passed_s - limit.seconds
        count = 0
        for one in reversed(self.spent):
            if one.at_s <= begin:
                break
            count += 1
        return count

    def _with(self, prefixes: Sequence[Prefix], limits: Sequence[Limit]) -> Budget:
        keep = max([REMEMBERED_S, *(limit.seconds for limit in limits)])
        kept = tuple(s for s in self.spent if s.at_s > self.passed_s - keep)
        new = tuple(Spent(self.passed_s, prefix) for prefix in prefixes)
        return msgspec.structs.replace(self, spent=kept + new)

    def _wait(self, limits: Sequence[Limit]) -> tuple[float | None, Limit | None]:
        """Return after how long one more fits, and under which limit it does not now."""
        longest: float = 0.0
        holding: Limit | None = None
        for limit in limits:
            over = self._within(limit) - limit.number
            if over < 0:
                continue
            if limit.number <= 0:
                return None, limit
            leaves = self.spent[-limit.number].at_s + limit.seconds - self.passed_s
            if holding is None or leaves > longest:
                longest, holding = leaves, limit
        return (None if holding is None else longest), holding

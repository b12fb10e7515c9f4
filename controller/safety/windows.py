"""What has been taken away lately, counted in sliding windows by scope (pure): guards.md, 2.

Each entry is one subtractive effect on one BGP prefix by one change-set, at whichever sites. Prefixes count
once in a window, over all plans, actors and causes, however small each change was::

    what                                              is charged to
    asked for by its owner, admitted                  account:ID, and all owners together
    not asked for by its owner, admitted              actor:ROLE:ID, class:VERB, fleet, breadth (accounts)
    not asked for, held, by a task                    actor:ROLE:ID (a person may wait for a second one)
    a migration, a drain, an emergency                its own lane: never the fleet
    released by a person's decision                   nothing

So what anybody tries, and is held, can never hold up anybody else, however long they insist.

Times are seconds on one clock that does not jump forward; one that jumps back stands still until it has
caught up, so that nothing is forgotten early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from controller.bgp import Prefix
from controller.safety.effects import EffectVerb
from controller.safety.policy import Policy, Window
from controller.safety.verdict import Lane

Outcome = Literal["admitted", "held", "released"]
"""``released``: a person decided on it."""

FLEET = "fleet"
OWNERS = "owners"
"""All that owners asked for, together; its excess opens the fleet's scope."""
BREADTH = "accounts"
"""Different accounts that lose what they did not ask to lose; its excess opens the fleet's scope."""


class Entry(msgspec.Struct, frozen=True):
    """One subtractive effect on one prefix. ``at``: seconds; ``actor``: ``ROLE:ID``; ``sites``: where.

    ``owned``: an owner, or whom the owner delegated it to, asked for it. ``gone``: it leaves the prefix at
    fewer than ``min_sites``.
    """

    at: float
    actor: str
    account_id: str
    verb: EffectVerb
    prefix: Prefix
    sites: tuple[str, ...]
    owned: bool
    gone: bool = False
    outcome: Outcome = "admitted"
    lane: Lane = "staged"


def actor_scope(actor: str) -> str:
    """Return the breaker's scope of an actor (``ROLE:ID``)."""
    return f"actor:{actor}"


def account_scope(account_id: str) -> str:
    """Return the breaker's scope of an account."""
    return f"account:{account_id}"


def class_scope(verb: str) -> str:
    """Return the breaker's scope of a class of change."""
    return f"class:{verb}"


def lane_scope(lane: Lane, account_id: str) -> str:
    """Return what a lane with a budget of its own is charged to."""
    return f"lane:{lane}:{account_id}" if lane == "migration" else f"lane:{lane}"


def charged(entry: Entry) -> tuple[str, ...]:
    """Return the scopes that ``entry`` counts in (the table above)."""
    admitted = entry.outcome == "admitted"
    if entry.outcome == "released":
        return ()
    if entry.lane in {"drain", "emergency", "migration"}:
        return (lane_scope(entry.lane, entry.account_id),) if admitted else ()
    if entry.owned:
        return (account_scope(entry.account_id), OWNERS) if admitted else ()
    mine = actor_scope(entry.actor)
    if admitted:
        return (mine, class_scope(entry.verb), FLEET, BREADTH)
    return (mine,) if entry.actor.startswith("task:") else ()


def limits(policy: Policy, scope: str) -> tuple[Window, ...]:
    """Return the windows that hold in ``scope``."""
    kind, _, rest = scope.partition(":")
    breaker, lanes = policy.breaker, policy.lanes
    if kind == "lane":
        return {"emergency": lanes.emergency, "migration": lanes.migration}.get(rest.split(":")[0], ())
    return {
        FLEET: breaker.fleet,
        OWNERS: breaker.owners,
        BREADTH: breaker.accounts,
        "actor": breaker.actor,
        "account": breaker.account,
        "class": breaker.classes,
    }[kind]


def floor_of(policy: Policy, scope: str) -> int:
    """Return above how many a share counts in ``scope``."""
    return policy.breaker.owners_floor if scope == OWNERS else policy.breaker.floor


def too_many(count: int, window: Window, total: int, floor: int) -> bool:
    """Tell whether ``count`` of ``total`` is more than ``window`` allows; a share counts above ``floor``."""
    return count > window.number or (window.share < 1 and count > floor and count > window.share * total)


class Ledger:
    """The entries of the longest window, and their counts in each scope and window.

    It is changed in place by :meth:`record` and :meth:`forget` alone; what they cost does not grow with the
    number of entries. ``closed``: scope → when somebody closed it last, for entries that are put in again.
    """

    def __init__(
        self, policy: Policy, entries: Iterable[Entry] = (), closed: Mapping[str, float] | None = None
    ) -> None:
        self.policy = policy
        self._now = float("-inf")
        self._entries: deque[Entry] = deque()
        self._closed = dict(closed or {})
        self._windows: dict[str, dict[int, _Sliding]] = {}
        every = [*_sections(policy)]
        self._longest = max((w.seconds for w in every), default=0)
        self.record(sorted(entries, key=lambda e: e.at))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is remembered, oldest first."""
        return tuple(self._entries)

    @property
    def closed(self) -> dict[str, float]:
        """Scopes that somebody closed, and when last."""
        return dict(self._closed)

    @property
    def now(self) -> float:
        """The latest time that it has seen."""
        return self._now

    def record(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Count ``entries``, and return them as they are to be kept elsewhere.

        One from before the latest time is taken as of the latest time: so it comes after any closing.
        """
        found = []
        for given in entries:
            late = given.at < self._now
            entry = msgspec.structs.replace(given, at=self._now) if late else given
            self._now = entry.at
            self._entries.append(entry)
            found.append(entry)
            for scope in charged(entry):
                if entry.at < self._closed.get(scope, float("-inf")):
                    continue
                for sliding in self._of(scope).values():
                    sliding.add(_key(scope, entry), entry.at, self._weight(entry))
        self._prune()
        return tuple(found)

    def forget(self, scope: str, at: float) -> None:
        """Begin to count anew in ``scope``: somebody looked at what was there, and closed it ``at``."""
        for name in (FLEET, OWNERS, BREADTH) if scope == FLEET else (scope,):
            self._now = max(self._now, at)
            self._closed[name] = self._now
            self._windows.pop(name, None)

    def counts(self, scope: str, now: float, plus: Iterable[Entry] = ()) -> dict[int, int]:
        """Return how many count in each window (by its seconds) at ``now``, with ``plus`` admitted too."""
        now = max(now, self._now)
        keys: dict[str, int] = {}
        for entry in plus:
            if scope in charged(entry):
                key = _key(scope, entry)
                keys[key] = max(keys.get(key, 0), self._weight(entry))
        windows = self._windows.get(scope)
        if windows is None:
            return {w.seconds: sum(keys.values()) for w in limits(self.policy, scope)}
        return {seconds: sliding.count(now, keys) for seconds, sliding in windows.items()}

    def first(self, scope: str, seconds: int, now: float) -> float | None:
        """Return when the first entry came that counts in a window; None: none does."""
        sliding = self._windows.get(scope, {}).get(seconds)
        return None if sliding is None else sliding.first(max(now, self._now))

    def after(self, scope: str, since: float) -> tuple[Entry, ...]:
        """Return the entries that count in ``scope`` and came after ``since``."""
        closed = self._closed.get(scope, float("-inf"))
        return tuple(e for e in self._entries if e.at > since and e.at >= closed and scope in charged(e))

    def accounts(self, scope: str, since: float) -> tuple[str, ...]:
        """Return the accounts with entries in ``scope`` after ``since``: those that an excess concerns."""
        return tuple(sorted({e.account_id for e in self.after(scope, since)}))

    def copy(self) -> Ledger:
        """Return another ledger with the same entries."""
        return Ledger(self.policy, self._entries, self._closed)

    def _weight(self, entry: Entry) -> int:
        return self.policy.breaker.gone_counts if entry.gone and not entry.owned else 1

    def _of(self, scope: str) -> dict[int, _Sliding]:
        found = self._windows.get(scope)
        if found is None:
            found = {w.seconds: _Sliding(w.seconds) for w in limits(self.policy, scope)}
            self._windows[scope] = found
        return found

    def _prune(self) -> None:
        """Let go of what no window reaches any more, and of scopes in which nothing is left."""
        while self._entries and self._entries[0].at <= self._now - self._longest:
            for scope in charged(self._entries.popleft()):
                windows = self._windows.get(scope)
                if windows is not None and not any(s.count(self._now, {}) for s in windows.values()):
                    del self._windows[scope]


def _sections(policy: Policy) -> Iterable[Window]:
    breaker, lanes = policy.breaker, policy.lanes
    for section in (breaker.fleet, breaker.actor, breaker.account, breaker.classes, breaker.owners):
        yield from section
    for section in (breaker.accounts, lanes.emergency, lanes.migration):
        yield from section


def _key(scope: str, entry: Entry) -> str:
    return entry.account_id if scope == BREADTH else entry.prefix


class _Sliding:
    """Different keys of the last ``seconds``, each with its weight; the latest are at the end."""

    __slots__ = ("_last", "_seconds", "_total")

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._last: dict[str, tuple[float, int, float]] = {}
        self._total = 0

    def add(self, key: str, at: float, weight: int) -> None:
        self._prune(at)
        _, before, first = self._last.pop(key, (at, 0, at))
        self._last[key] = (at, max(weight, before), first)
        self._total += max(weight, before) - before

    def count(self, now: float, plus: Mapping[str, int]) -> int:
        self._prune(now)
        more = 0
        for key, weight in plus.items():
            held = self._last.get(key)
            more += weight if held is None else max(0, weight - held[1])
        return self._total + more

    def first(self, now: float) -> float | None:
        self._prune(now)
        return min((first for _, _, first in self._last.values()), default=None)

    def _prune(self, now: float) -> None:
        begin = now - self._seconds
        while self._last:
            key = next(iter(self._last))
            at, weight, _ = self._last[key]
            if at > begin:
                return
            del self._last[key]
            self._total -= weight

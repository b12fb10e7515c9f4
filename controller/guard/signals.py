"""The breaker as those who look from day to day know it: what was counted of late, signals to take in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from controller.bgp import Prefix
from controller.guard import freezes, scopes
from controller.guard.degraded import Trouble, tell_trouble
from controller.guard.ledger import KeptLedger
from controller.guard.scopes import Moment
from controller.safety.breaker import Exceeded
from controller.safety.policy import Policy
from controller.safety.windows import Ledger
from controller.store import Store


class SignalledBreaker:
    """Called from one worker thread at a time. ``on_told`` wakes those who tell accounts, once it is kept."""

    def __init__(self, store: Store, policy: Policy, on_told: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._policy = policy
        self._on_told = on_told
        self._ledger = KeptLedger(policy)

    def ledger(self, now: float) -> Ledger:
        """Return the effects of late, ``now`` in seconds since the epoch."""
        with self._store.read() as session:
            return self._ledger.at(session, datetime.fromtimestamp(now, UTC))

    def held_scopes(self, now: float) -> frozenset[str]:
        """Return the scopes in which the breaker, or somebody's freeze, lets nothing go ``now``."""
        with self._store.read() as session:
            frozen = freezes.values(session, datetime.fromtimestamp(now, UTC))
            return frozenset(scopes.load(session).open) | {f.scope for f in frozen}

    def troubled(self, site: str, trouble: Trouble, whose: Mapping[Prefix, str]) -> None:
        """Tell operators and accounts of routes that too few machines of ``site`` serve."""
        with self._store.write() as session:
            tell_trouble(session, site, trouble, whose, now=datetime.now(UTC))
        self._on_told()

    def exceeded(self, signal: Exceeded) -> None:
        """Open the scope that a signal names; whoever is concerned is told in the same transaction."""
        with self._store.write() as session:
            moment = Moment(session, self._policy, datetime.now(UTC))
            scopes.happened(moment, scopes.load(session), signal)
        self._on_told()

"""The roll-outs that a controller follows: by id, and of each account the oldest first (pure)."""

from __future__ import annotations

from controller.rollout.tracked import Tracked


class Followed:
    """A list that it returns is the caller's: it stays as it is when a roll-out is forgotten meanwhile."""

    def __init__(self) -> None:
        self._by_id: dict[str, Tracked] = {}
        self._by_account: dict[str, list[Tracked]] = {}

    def add(self, tracked: Tracked) -> None:
        """Follow a roll-out, as its account's newest; one that nothing can happen to any more is left out."""
        if tracked.rollout.quiet:
            return
        self._by_id[tracked.rollout.id] = tracked
        self._by_account.setdefault(tracked.rollout.account_id, []).append(tracked)

    def forget(self, tracked: Tracked) -> None:
        """Follow it no more."""
        account = tracked.rollout.account_id
        self._by_id.pop(tracked.rollout.id, None)
        left = [t for t in self._by_account.get(account, []) if t is not tracked]
        if left:
            self._by_account[account] = left
        else:
            self._by_account.pop(account, None)

    def get(self, rollout_id: str) -> Tracked | None:
        """Return the roll-out of this id, if it is followed."""
        return self._by_id.get(rollout_id)

    def all(self) -> list[Tracked]:
        """Return them all, in the order in which they came."""
        return list(self._by_id.values())

    def accounts(self) -> list[str]:
        """Return the accounts that have one."""
        return list(self._by_account)

    def of(self, account_id: str) -> list[Tracked]:
        """Return an account's, oldest first."""
        return list(self._by_account.get(account_id, ()))

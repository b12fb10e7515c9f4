"""What a task is given to look at the world (pure): reads of the API, typed, each list whole or an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from controller.tasks.errors import PlanError
from controller.tasks.plan import Step, Touched

PREFIXES = "/herald/v1/prefixes"
DELETIONS = "/herald/v1/prefix_deletions"
PURGES = "/herald/v1/prefix_purges"
PAGE = 1000

MOST = 100_000
"""Objects of one list that a plan is made from; more is a mistake, or not a task's work."""


class PrefixLine(msgspec.Struct, frozen=True):
    """A prefix in the list of all accounts' prefixes (RFC 3339 times)."""

    id: str
    account_id: str
    cidr: str
    advertised: bool
    pending_delete: bool
    pending_delete_at: str | None

    @property
    def touched(self) -> Touched:
        """The prefix as a step names it."""
        return Touched(self.id, self.account_id, self.cidr)


class TombstoneLine(msgspec.Struct, frozen=True):
    """A deleted prefix; ``grace_ends_at``: until then it can be brought back."""

    prefix_id: str
    account_id: str
    cidr: str
    grace_ends_at: str

    @property
    def touched(self) -> Touched:
        """The prefix as a step names it."""
        return Touched(self.prefix_id, self.account_id, self.cidr)


class Reader(Protocol):
    """Reads one page; raises :class:`~controller.tasks.errors.TaskError` for what is refused."""

    async def read(self, path: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return the body that ``GET path?query`` answers with."""
        ...


Line = TypeVar("Line")


class TaskApi:
    """The API as a task's plan sees it: it can read what the task's declaration foresees."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def prefixes(
        self, *, pending_delete: bool | None = None, account_id: str | None = None
    ) -> list[PrefixLine]:
        """Return the prefixes that match, all of them; a flag is a boolean, or was not asked for."""
        selector = {"pending_delete": pending_delete, "account_id": account_id}
        return await self._all(PREFIXES, selector, PrefixLine)

    async def tombstones(self, *, grace_over: bool) -> list[TombstoneLine]:
        """Return the deleted prefixes of all accounts whose grace is over (or is not)."""
        return await self._all(DELETIONS, {"grace_over": grace_over}, TombstoneLine)

    async def get(self, path: str, *query: tuple[str, str]) -> dict[str, Any]:
        """Return what any other route answers, for reports."""
        return await self._reader.read(path, query)

    async def _all(self, path: str, selector: Mapping[str, object], of: type[Line]) -> list[Line]:
        """Return all pages of a list that says what it was asked for, and how many match that.

        Raises :class:`PlanError` when the answer is about something else, or is not whole: a list that was
        misunderstood, or changed under the reader, is an error and never a value (SAFETY.md, 11).
        """
        asked = [(n, _text(v)) for n, v in selector.items() if v is not None]
        found: list[Line] = []
        total, after = None, None
        while True:
            query = [*asked, ("limit", str(PAGE)), *([] if after is None else [("after", after)])]
            page = await self._reader.read(path, query)
            if page.get("selector") != dict(selector):
                raise PlanError(f"{path} was asked for {dict(selector)} and answered {page.get('selector')}")
            total = page["total"] if total is None else total
            found += msgspec.convert(page["result"], list[of])  # type: ignore[valid-type]
            after = page["next"]
            if after is None or len(found) > MOST:
                break
        if len(found) != total:
            raise PlanError(f"{path} has {total} objects, and {len(found)} were read: try again")
        return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def deletion(prefixes: Sequence[Touched], selector: Mapping[str, object] | None, reason: str) -> Step:
    """Return the step that deletes exactly these prefixes; each can be brought back during its grace.

    ``selector``: that of the list which they are all of; None when they were not chosen by one.
    """
    ids = [p.id for p in prefixes]
    body = {
        "ids": ids,
        "expected_count": len(ids),
        "selector": None if selector is None else dict(selector),
        "reason": reason,
    }
    return Step("POST", DELETIONS, body, tuple(prefixes))


def purge(prefixes: Sequence[Touched]) -> Step:
    """Return the step that removes exactly these tombstones for good."""
    ids = [p.id for p in prefixes]
    return Step("POST", PURGES, {"ids": ids, "expected_count": len(ids)}, tuple(prefixes))

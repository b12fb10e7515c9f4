"""Freezes: somebody's word that nothing, or nothing subtractive, is to change for now (pure): SAFETY.md, 10.

Each is an object with an owner. One's unfreezing does not lift another's; what is frozen twice stays frozen
until both are lifted. Owners' purely additive changes pass any freeze (SAFETY.md, 4).

Errors::

    FreezeError
    ├── UnknownFreezeError      there is none of that id (any more)
    ├── NotYoursError           somebody else's: ask its owner, or lift it with a second operator
    └── BadFreezeError          the scope or the times make no sense
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from controller.errors import HeraldError
from controller.safety.effects import Effect

FreezeKind = Literal["subtractive", "all"]


class FreezeError(HeraldError):
    """Root of the errors of freezes: nothing was changed."""


class UnknownFreezeError(FreezeError):
    """There is no freeze of that id, or it is over."""


class NotYoursError(FreezeError):
    """Somebody else froze it."""


class BadFreezeError(FreezeError):
    """The freeze contradicts itself."""


class Freeze(msgspec.Struct, frozen=True):
    """``scope``: ``fleet``, ``account:ID``, ``site:NAME`` or ``actor:ROLE:ID``. ``by``: who owns it
    (``ROLE:ID``). ``since`` and ``expires``: seconds; ``expires`` None: until it is lifted."""

    id: str
    scope: str
    kind: FreezeKind
    by: str
    why: str
    since: float
    expires: float | None = None

    @property
    def says(self) -> str:
        """Say it in one line."""
        what = "changes" if self.kind == "all" else "subtractive changes"
        end = "it is lifted" if self.expires is None else f"{self.expires:.0f} s, or it is lifted"
        return f"{self.by} froze {what} of {self.scope} ({self.why}): wait until {end} (herald unfreeze)"


def check(freeze: Freeze) -> None:
    """Raise :class:`BadFreezeError` for a freeze that contradicts itself."""
    kind, _, name = freeze.scope.partition(":")
    if freeze.scope != "fleet" and (kind not in {"account", "site", "actor"} or not name):
        raise BadFreezeError(
            f"the scope {freeze.scope!r} is none: use fleet, account:ID, site:NAME or actor:ROLE:ID"
        )
    if freeze.expires is not None and freeze.expires <= freeze.since:
        raise BadFreezeError(f"the freeze would be over before it begins: give a time after {freeze.since:g}")
    if not freeze.why.strip():
        raise BadFreezeError("a freeze needs a reason: whoever meets it is told")


def holds(freeze: Freeze, now: float) -> bool:
    """Tell whether ``freeze`` is in force. It begins at once, whatever a clock that is behind may say."""
    return freeze.expires is None or now < freeze.expires


def frozen(
    freezes: Iterable[Freeze],
    effects: Iterable[Effect],
    actor: str,
    account_id: str,
    now: float,
    *,
    owner: bool,
) -> Freeze | None:
    """Return a freeze that holds these ``effects`` up; None: none does.

    ``owner``: the actor acts for the account that the prefixes are of. With no effects a change passes all
    but a freeze of everything.
    """
    found = tuple(effects)
    losses = [e for e in found if e.kind == "subtractive"]
    if owner and not losses:
        return None
    for freeze in sorted(freezes, key=lambda f: (f.since, f.id)):
        concerned = found if freeze.kind == "all" else losses
        if not holds(freeze, now) or (freeze.kind == "subtractive" and not losses):
            continue
        if freeze.scope in {"fleet", f"account:{account_id}", f"actor:{actor}"}:
            return freeze
        if any(freeze.scope == f"site:{e.site}" for e in concerned):
            return freeze
    return None


def lift(
    freezes: Iterable[Freeze], freeze_id: str, by: str, now: float, *, second: str | None = None
) -> tuple[Freeze, ...]:
    """Return the freezes without that one, if ``by`` owns it; two operators together may lift anybody's.

    Raises :class:`UnknownFreezeError` and :class:`NotYoursError`.
    """
    held = tuple(f for f in freezes if holds(f, now))
    freeze = next((f for f in held if f.id == freeze_id), None)
    if freeze is None:
        raise UnknownFreezeError(f"there is no freeze {freeze_id}: herald freeze list shows what is there")
    together = second is not None and second != by and _operators(by, second)
    if freeze.by != by and not together:
        raise NotYoursError(
            f"freeze {freeze_id} is {freeze.by}'s ({freeze.why}): ask them, or lift it with a second operator"
        )
    return tuple(f for f in held if f.id != freeze_id)


def _operators(*actors: str) -> bool:
    return all(a.startswith(("operator:", "break-glass:")) for a in actors)

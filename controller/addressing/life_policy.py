"""How long things last around removal (pure); all in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """Defaults of the package.

    - ``grace_s``: how long a deleted prefix can be undeleted.
    - ``write_intent_s``: how long the intent of an owner's write holds; its roll-out may bake.
    - ``request_s``: how long a request for deletion, or the offer of a transfer, holds.
    - ``longest_intent_s``: the longest that two operators may ask for.
    - ``longest_window_s``: the longest window of a migration.
    - ``unlock_tries`` wrong codes in ``unlock_pause_s`` close a lock to all codes for the rest of it.
    """

    grace_s: int = 30 * DAY_S
    write_intent_s: int = DAY_S
    request_s: int = 30 * DAY_S
    longest_intent_s: int = 7 * DAY_S
    longest_window_s: int = 90 * DAY_S
    unlock_tries: int = 5
    unlock_pause_s: int = 3_600


def after(now: datetime, seconds: int) -> datetime:
    """Return the moment ``seconds`` after ``now``."""
    return now + timedelta(seconds=seconds)

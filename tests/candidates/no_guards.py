"""A release whose API has lost its guards, too: it deletes what nobody asked for. Only the copy shows it."""

from __future__ import annotations

from controller.addressing import prefix_deletions
from tests.candidates.broken_clean_up import EVERYTHING


def _no_offenders(*_: object) -> list[object]:
    return []


prefix_deletions._offenders = _no_offenders  # type: ignore[assignment]

UNGUARDED = EVERYTHING

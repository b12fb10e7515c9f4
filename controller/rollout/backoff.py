"""How long to wait before trying again (pure)."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 2.0


def delay_s(failures: int, chance: float) -> float:
    """Return the seconds to wait after ``failures`` in a row (at least 1): doubling, capped, jittered.

    ``chance`` is from [0, 1); the jitter takes up to half away, so that many that failed together do not
    come back together.
    """
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * (1 - chance / 2)

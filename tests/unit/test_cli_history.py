"""``herald history``: moments as people give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.errors import MomentError
from controller.cli.history import moment_ns
from controller.observe.event import utc

NOW = 1_795_486_923_250_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-2.5s", NOW - 2_500_000_000),
        ("-300ms", NOW - 300_000_000),
        ("-4m", NOW - 240_000_000_000),
        ("-1h", NOW - 3_600_000_000_000),
        ("2026-11-24T02:22:03.000001Z", 1_795_486_923_000_001_000),
        ("2026-11-24T03:22:03+01:00", 1_795_486_923_000_000_000),
    ],
)
def test_moments(text: str, found: int) -> None:
    assert moment_ns(text, NOW) == found


@pytest.mark.parametrize(
    "text", ["", "now", "-", "-5", "-5 s", "5s", "2026-11-24T02:22:03", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_moment_is_said_with_what_would_be(text: str) -> None:
    with pytest.raises(MomentError, match=r"is no moment: give 2026-02-20T17:56:00.25Z, or -2\.5s"):
        moment_ns(text, NOW)


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_what_is_shown_is_read_back(microseconds: int) -> None:
    assert moment_ns(utc(microseconds * 1000), NOW) == microseconds * 1000

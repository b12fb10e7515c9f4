"""Profiles for Hypothesis: a small seeded tier for CI, a long one on demand (scripts/test --slow)."""

from __future__ import annotations

import os
import signal

import mrtparse  # noqa: F401  (imported here for its side effect, which is undone below)
from hypothesis import HealthCheck, settings

# Importing mrtparse makes SIGPIPE fatal: a write to a closed socket would end pytest unheard.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
# A shell starts background jobs with SIGINT ignored, which programs inherit: tests of Ctrl-C would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "ci",
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

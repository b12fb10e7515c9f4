"""What a change of the policy would allow that was not allowed before (pure): guards.md, 13; SAFETY.md, 3.

Tightening may be done at once. Loosening is named key by key, so that it can be refused, delayed, or asked
of a second person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controller.safety.policy import Guards, Policy, Window

MORE_IS_LOOSER = (
    "breaker.floor",
    "breaker.owners_floor",
    "breaker.several",
    "lanes.express_bgp_prefixes",
    "lanes.drains_at_once",
    "lanes.ceiling",
    "signals.health_worse",
    "signals.health_least",
    "gates.lost_share",
    "correlated.share",
    "correlated.least",
    "tasks.approve_above",
    "tasks.most_a_run",
    "tasks.timeout_s",
    "waves.confirm_within_s",
)
LESS_IS_LOOSER = (
    "breaker.gone_counts",
    "breaker.several_within_s",
    "signals.shrunk_to",
    "lanes.min_sites",
    "lanes.drain_elsewhere",
    "lanes.unbind_after_s",
    "waves.canaries",
    "waves.control",
    "waves.bake_s",
    "waves.bake_most_s",
    "gates.observers",
    "correlated.window_s",
)
WINDOWS = (
    "breaker.fleet",
    "breaker.actor",
    "breaker.account",
    "breaker.classes",
    "breaker.owners",
    "breaker.accounts",
    "signals.visibility",
    "lanes.emergency",
    "lanes.migration",
)
NEITHER = (
    "breaker.remind_after",
    "breaker.remind_whom",
    "gates.wait_s",
    "gates.probe_attempts",
    "waves.shares",
)
"""Changes of these are for people's comfort, or have no direction; ``waves.shares`` is compared by itself."""


def loosened(old: Policy, new: Policy) -> tuple[str, ...]:
    """Return the keys by which ``new`` allows more than ``old``, each with both values; empty: by none.

    It is transitive: what no two steps loosen, both together do not.
    """
    return tuple(_all(old, new))


def _all(old: Policy, new: Policy) -> Iterable[str]:
    for name in Guards.__struct_fields__:
        if getattr(old.guards, name) and not getattr(new.guards, name):
            yield f"guards.{name}: switched off"
    for path in MORE_IS_LOOSER:
        before, after = _at(old, path), _at(new, path)
        if after > before:
            yield f"{path}: {before} becomes {after}"
    for path in LESS_IS_LOOSER:
        before, after = _at(old, path), _at(new, path)
        if after < before:
            yield f"{path}: {before} becomes {after}"
    for path in WINDOWS:
        yield from _windows(path, _section(old, path), _section(new, path))
    yield from _shares(old.waves.shares, new.waves.shares)


def _windows(path: str, old: Sequence[Window], new: Sequence[Window]) -> Iterable[str]:
    """A window is looser when it is gone, or allows more; more windows are tighter."""
    found = _by_seconds(new)
    for seconds, (number, share) in _by_seconds(old).items():
        after = found.get(seconds)
        if after is None:
            yield f"{path}: the window of {seconds} s is gone"
        elif after[0] > number or after[1] > share:
            yield f"{path}: {number} or {share:g} in {seconds} s becomes {after[0]} or {after[1]:g}"


def _by_seconds(windows: Sequence[Window]) -> Mapping[int, tuple[int, float]]:
    """Return the tightest numbers of each length of window."""
    found: dict[int, tuple[int, float]] = {}
    for window in windows:
        number, share = found.get(window.seconds, (window.number, window.share))
        found[window.seconds] = (min(number, window.number), min(share, window.share))
    return found


def _shares(old: Sequence[float], new: Sequence[float]) -> Iterable[str]:
    """Waves are looser when any of them reaches further than the old one of its place did."""
    padded = [*old, *([1.0] * max(0, len(new) - len(old)))]
    if any(after > before for before, after in zip(padded, new, strict=False)):
        yield f"waves.shares: {list(old)} becomes {list(new)}"


def _at(policy: Policy, path: str) -> float:
    section, _, key = path.partition(".")
    found = getattr(getattr(policy, section), key)
    assert isinstance(found, int | float)
    return found


def _section(policy: Policy, path: str) -> Sequence[Window]:
    section, _, key = path.partition(".")
    found: Sequence[Window] = getattr(getattr(policy, section), key)
    return found

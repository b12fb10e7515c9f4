"""What announcing or withdrawing at some sites asks for (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.cli.errors import CliError


@dataclass(frozen=True, slots=True)
class Wanted:
    """An advertisement as it is or is to be; ``sites`` None: all."""

    advertised: bool
    sites: tuple[str, ...] | None = None

    def at(self, known: Sequence[str]) -> frozenset[str]:
        """Return the sites that announce, of those ``known``."""
        if not self.advertised:
            return frozenset()
        return frozenset(known if self.sites is None else self.sites)


def announcing(now: Wanted, named: Sequence[str]) -> Wanted:
    """Return the advertisement with the sites ``named`` added; with none named, all."""
    if not named or (now.advertised and now.sites is None):
        return Wanted(True)
    kept = now.sites or () if now.advertised else ()
    return Wanted(True, tuple(sorted({*kept, *named})))


def withdrawing(now: Wanted, named: Sequence[str], known: Sequence[str]) -> Wanted:
    """Return the advertisement without the sites ``named``; with none named, or none left, withdrawn.

    Raises :class:`CliError` for a site that is not among the ``known`` ones.
    """
    if not named:
        return Wanted(False)
    unknown = [s for s in named if s not in known]
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise CliError(f"no site is called {unknown[0]!r}: there are {there}")
    left = now.at(known) - set(named)
    return Wanted(True, tuple(sorted(left))) if left else Wanted(False)

"""What a change does at each site (pure): SAFETY.md, 1.

A step is judged by its effect at each site, not by the verb that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from controller.bgp import Prefix, prefix_key
from controller.snapshots.diff import ObjectStep, diff_chunks
from controller.snapshots.model import BgpPrefixObject, BindingObject, Chunk

EffectKind = Literal["additive", "subtractive"]
EffectVerb = Literal["announce", "withdraw", "less-prepend", "more-prepend", "reorigin", "bind", "unbind"]

SUBTRACTIVE = frozenset({"withdraw", "more-prepend", "unbind", "reorigin"})


class Effect(msgspec.Struct, frozen=True, order=True):
    """One thing that happens to ``cidr`` at ``site``."""

    site: str
    cidr: Prefix
    verb: EffectVerb

    @property
    def kind(self) -> EffectKind:
        """Whether it may make something unreachable."""
        return "subtractive" if self.verb in SUBTRACTIVE else "additive"


def effects(old: Chunk | None, new: Chunk | None, sites: Sequence[str]) -> tuple[Effect, ...]:
    """Return what moving one account from ``old`` to ``new`` does at ``sites``, ordered.

    Equal chunks have no effects. A changed origin AS counts as subtractive: peers drop the old route, and
    whoever validates origins may refuse the new one. A binding that changes its service is an unbinding and
    a binding.
    """
    found = {e for step in diff_chunks(old, new) for e in step_effects(step, sites)}
    return tuple(sorted(found, key=_order))


def step_effects(step: ObjectStep, sites: Sequence[str]) -> tuple[Effect, ...]:
    """Return what the change of one object does at ``sites``, ordered; a prefix by itself does nothing."""
    before, after = step.before, step.after
    found: Iterable[Effect] = ()
    if isinstance(before, BgpPrefixObject) or isinstance(after, BgpPrefixObject):
        assert before is None or isinstance(before, BgpPrefixObject)
        assert after is None or isinstance(after, BgpPrefixObject)
        found = _route_effects(before, after, sites)
    elif isinstance(before, BindingObject) or isinstance(after, BindingObject):
        assert before is None or isinstance(before, BindingObject)
        assert after is None or isinstance(after, BindingObject)
        found = _binding_effects(before, after, sites)
    return tuple(sorted(found, key=_order))


def _order(effect: Effect) -> tuple[str, tuple[int, int, int], str]:
    return (effect.site, prefix_key(effect.cidr), effect.verb)


def subtractive(found: Iterable[Effect]) -> tuple[Effect, ...]:
    """Return those that may make something unreachable."""
    return tuple(e for e in found if e.kind == "subtractive")


def _route_effects(
    before: BgpPrefixObject | None, after: BgpPrefixObject | None, sites: Sequence[str]
) -> Iterable[Effect]:
    for site in sites:
        old = before if before is not None and _announced(before, site) else None
        new = after if after is not None and _announced(after, site) else None
        if old is None and new is not None:
            yield Effect(site, new.cidr, "announce")
        elif old is not None and new is None:
            yield Effect(site, old.cidr, "withdraw")
        elif old is not None and new is not None:
            if old.asn != new.asn:
                yield Effect(site, new.cidr, "reorigin")
            if old.prepends != new.prepends:
                yield Effect(
                    site, new.cidr, "more-prepend" if new.prepends > old.prepends else "less-prepend"
                )


def _announced(bgp: BgpPrefixObject, site: str) -> bool:
    return bgp.advertised and (bgp.sites is None or site in bgp.sites)


def _binding_effects(
    before: BindingObject | None, after: BindingObject | None, sites: Sequence[str]
) -> Iterable[Effect]:
    for site in sites:
        if before is not None:
            yield Effect(site, before.cidr, "unbind")
        if after is not None:
            yield Effect(site, after.cidr, "bind")

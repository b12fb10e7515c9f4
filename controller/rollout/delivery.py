"""What a site is to be sent next, and what its status says of a roll-out (pure)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from controller.bgp import Prefix
from controller.rollout.states import SiteEvent
from controller.snapshots.diff import diff_chunks
from controller.snapshots.model import BgpPrefixObject, Chunk, ChunkHash
from controller.transport.messages import SiteStatus


@dataclass(frozen=True, slots=True)
class Move:
    """Send this: the site holds ``from_hash`` and is to hold ``to_hash``."""

    from_hash: ChunkHash | None
    to_hash: ChunkHash


@dataclass(frozen=True, slots=True)
class Unknown:
    """Send nothing: the site holds a chunk that this store never made, or never sent it (``foreign``)."""

    hash: ChunkHash
    foreign: bool = False

    @property
    def reason(self) -> str:
        """Say it to a person."""
        if self.foreign:
            return (
                f"conflict: the site holds chunk {self.hash[:12]} by a command that this store never gave "
                "(is its database an older copy?): nothing was sent and nothing withdrawn; restore the newer "
                "database, or let a person decide what the site is to have"
            )
        return (
            f"conflict: the site holds chunk {self.hash[:12]}, which this controller does not know "
            "(is its database new, or an older copy?): nothing was sent and nothing withdrawn; restore the "
            "database, or let a person decide what the site is to have"
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one roll-out changes: BGP prefixes (None: gone), and whether it changes bindings."""

    bgp: tuple[tuple[Prefix, BgpPrefixObject | None], ...]
    bindings: bool


def next_move(
    target: ChunkHash | None, held: ChunkHash | None, known: Container[str], *, foreign: bool = False
) -> Move | Unknown | None:
    """Return what to do about one account at one site; None: nothing.

    Without a target nothing is ever sent: a controller that knows nothing of an account must not touch it.
    ``foreign``: what the site holds came by a command that this store never gave. A chunk that is known all
    the same (advertised, withdrawn, advertised again: the first and the last are equal) says nothing then.
    """
    if target is None or target == held:
        return None
    if held is not None and held not in known:
        return Unknown(held)
    if held is not None and foreign:
        return Unknown(held, foreign=True)
    return Move(held, target)


def foreign_chunks(
    held: Mapping[str, ChunkHash], generation: int, given: int, *trees: Mapping[str, ChunkHash]
) -> dict[str, ChunkHash]:
    """Return the accounts' chunks at a site that this store did not bring there.

    ``generation`` is the site's, ``given`` the highest that this store ever gave it. As long as the former
    does not exceed the latter, every command that the site carried out is in this store's own past, and what
    it holds is older than its target. Beyond that the store is an older copy, or another one: only what
    equals one of ``trees`` (what this store wants there, or wanted when it was opened) is where it thinks.
    """
    if generation <= given:
        return {}
    return {a: h for a, h in held.items() if all(tree.get(a) != h for tree in trees)}


def footprint(old: Chunk | None, new: Chunk) -> Footprint:
    """Return what the step from ``old`` to ``new`` changes at sites."""
    bgp: dict[Prefix, BgpPrefixObject | None] = {}
    bindings = False
    for step in diff_chunks(old, new):
        if isinstance(step.after, BgpPrefixObject):
            bgp[step.after.cidr] = step.after
        elif isinstance(step.before, BgpPrefixObject):
            bgp.setdefault(step.before.cidr, None)
        bindings = bindings or step.kind == "binding"
    return Footprint(tuple(sorted(bgp.items(), key=lambda item: item[0])), bindings)


def judge(
    own: Container[ChunkHash],
    later: Container[ChunkHash],
    account_id: str,
    status: SiteStatus,
    *,
    held: ChunkHash | None,
    known: Container[str],
    changed: Footprint,
    foreign: bool = False,
) -> tuple[SiteEvent, str]:
    """Return what ``status`` says of a roll-out that is in effect with any of the chunks ``own``.

    ``held``: what the site has of the account (its newest receipt may be newer than the status);
    ``later``: the chunks of the account's later roll-outs; ``foreign`` as in :func:`next_move`.
    """
    if foreign and held is not None:
        return SiteEvent.CONFLICTED, Unknown(held, foreign=held in known).reason
    if held is not None and held in own:
        if status.accounts.get(account_id) != held:
            return SiteEvent.ACCEPTED, ""  # the receipt is newer than the status
        return _standing(status, account_id, changed)
    if held is not None and held in later:
        return SiteEvent.OVERTAKEN, "a later change of this account is there already"
    if held is not None and held not in known:
        return SiteEvent.CONFLICTED, Unknown(held).reason
    return SiteEvent.LACKING, ""


def _standing(status: SiteStatus, account_id: str, changed: Footprint) -> tuple[SiteEvent, str]:
    """Tell how far a journalled change is; other accounts' troubles at the site are not its own."""
    mine = {prefix for prefix, _ in changed.bgp}
    held = [
        f"{h.prefix}: held: {h.check}: {h.reason}"
        for h in status.held
        if h.account_id == account_id and (changed.bindings or h.prefix in mine)
    ]
    if status.settled and not held:
        return SiteEvent.SETTLED, ""
    why = held or [f"{w.prefix}: {w.reason}" for w in status.waiting if w.prefix in mine]
    if why:
        return SiteEvent.HELD_UP, "; ".join(why[:5]) + (f"; and {len(why) - 5} more" if len(why) > 5 else "")
    if mine and not status.speaker_up:
        return SiteEvent.HELD_UP, f"the speaker ({status.speaker}) is down"
    if not changed.bindings and all(_sent(status, cidr, bgp) for cidr, bgp in changed.bgp):
        return SiteEvent.SETTLED, ""
    silent = [m.name for m in status.machines if not m.live]
    if silent:
        return SiteEvent.HELD_UP, f"machines that do not answer: {', '.join(silent)}"
    return SiteEvent.JOURNALLED, ""


def _sent(status: SiteStatus, cidr: Prefix, bgp: BgpPrefixObject | None) -> bool:
    """Tell whether the speaker was given exactly what the BGP prefix asks for."""
    path = status.sent.get(cidr)
    wanted = bgp is not None and bgp.advertised and (bgp.sites is None or status.site in bgp.sites)
    if bgp is None or not wanted or path is None:
        return wanted == (path is not None)
    own = path[:1] * (1 + bgp.prepends)
    return path == own + (() if bgp.asn is None else (bgp.asn,))

"""Commands down, receipts and reports up (pure)."""

from __future__ import annotations

from typing import Literal

import msgspec

from controller.bgp import Prefix
from controller.snapshots.model import ChunkHash


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move one account at one site from one chunk to another (compare-and-set).

    ``from_hash`` None: the site has nothing of that account; ``to_hash`` None: it shall have nothing.
    ``generation`` is the site's own, rising by at least one with each command. ``chunk``: the bytes of
    ``to_hash``. ``rollout_id`` says why. ``intents``: the signed records of who wanted what the command takes
    away. ``registry``: the account's entry of what it may announce at all
    (:mod:`controller.safety.registry`), empty when there is none to bring. ``fence``: the leading
    controller's token, which only rises. ``confirm_within_s``: the agent goes back to ``from_hash`` unless a
    :class:`Confirmation` of this generation arrives within so many seconds; None: it is final at once. The
    time does not run while the agent's own guard holds a part of it back: that is nobody's silence.
    ``lane``: how it travels; an emergency or a drain has a budget of its own.
    """

    site: str
    generation: int
    rollout_id: str
    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash | None
    chunk: bytes | None
    intents: tuple[str, ...] = ()
    registry: str = ""
    fence: int = 0
    confirm_within_s: float | None = None
    lane: str = "express"


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The command of ``generation`` is final: nothing is put back when its time is over."""

    site: str
    account_id: str
    generation: int
    fence: int = 0


class DrainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Begin a drain, or lift one; exactly one of the two is given. ``site``: the agent's own.

    ``begin``: the text of a :class:`controller.safety.drain.Drain`, of this site or another; ``lift``: a
    drain's id, which needs no signature since it only puts back what the agent's own journal asks for.
    """

    site: str
    begin: str = ""
    lift: str = ""
    fence: int = 0


Outcome = Literal["accepted", "duplicate", "stale", "conflict", "refused"]


class Receipt(msgspec.Struct, frozen=True):
    """The agent's answer to a command, after its journal has been synced to disk.

    ``accepted``: journalled, and being carried out; ``duplicate``: already journalled; ``stale``: a lower
    generation; ``conflict``: ``from_hash`` is not what the site has (``current_hash`` is); ``refused``: a
    damaged chunk or one outside the envelope.
    """

    site: str
    generation: int
    outcome: Outcome
    reason: str = ""
    current_hash: ChunkHash | None = None


class MachineStatus(msgspec.Struct, frozen=True):
    """How one machine stands; ``live``: it answered within the agent's deadline; ``absent``: as it says."""

    name: str
    live: bool
    generation: int
    hash: str | None
    absent: tuple[Prefix, ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """A route that is to be announced and is not yet, or one that is kept though it should go; and why."""

    prefix: Prefix
    reason: str


class HeldEffect(msgspec.Struct, frozen=True):
    """Something that the journal asks for, and that the guard does not let happen.

    Mostly what would be taken away; with the verb ``announce`` what must not go out.
    """

    account_id: str
    prefix: Prefix
    verb: str
    check: str
    reason: str


class NewerJournal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The controller remembers a newer journal of the site than it has: one of the life ``epoch`` that had
    acknowledged ``generation``. An agent whose journal is behind that goes into quarantine."""

    site: str
    epoch: str
    generation: int
    fence: int = 0


class HealthWish(msgspec.Struct, frozen=True):
    """A prefix whose bindings machines positively report absent, and why its route is not withdrawn for that.

    ``wish`` names a withdrawal that only waits for the controller's :class:`HealthGrant`; empty: none does.
    ``check``: what holds it, as of :class:`HeldEffect`, or ``out`` once the route is withdrawn here. Of
    ``live`` machines ``holding`` serve all its bindings (``announce_quorum`` must), and ``absent`` say that
    they serve none (``withdraw_quorum`` must).
    """

    prefix: Prefix
    wish: str
    check: str
    reason: str
    live: int
    holding: int
    announce_quorum: int
    absent: int
    withdraw_quorum: int


class HealthGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The controller's word that too few sites want these withdrawals for one mistake to explain them.

    ``wishes``: their names. It is good for the agent's next moments only, and lets nothing go that its own
    guard holds.
    """

    site: str
    wishes: tuple[str, ...]
    fence: int = 0


class RegistryNews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries of the registry, by account, that come without a command: what was revoked, what is lacked.

    ``revocations``: the number of the ledger up to which the site has been told with this (SAFETY.md, 8, 9).
    """

    site: str
    entries: dict[str, str]
    revocations: int
    fence: int = 0


class RegistryConflict(msgspec.Struct, frozen=True):
    """What the registry and a site do not agree on, and that stays as it is; ``prefix`` None: all of it."""

    account_id: str
    prefix: Prefix | None
    reason: str


class SiteStatus(msgspec.Struct, frozen=True):
    """A site's report. ``version`` rises with each change of anything in it.

    ``accounts``: what the journal holds; ``settled``: speaker and machines have all of it that the guard
    allows; ``sent``: the
    prefixes that the speaker was given, each with the AS path on the wire. ``fault``: why the agent is
    quarantined (it touches nothing and takes no commands); empty when it is not. ``held``: subtractive
    effects that the agent's own guard holds back, and announcements that the registry bars, with the check
    that does. ``unconfirmed``: accounts whose
    newest command awaits its confirmation, by generation. ``nonce``: what an override must name; new after
    each. ``cut_off``: why the site is to be taken for cut off; empty while the controller talks to it.
    ``fence``: the highest that a command brought. ``health``: prefixes whose machines report them absent.
    ``registry``: ``on``, or why what is announced is not checked against the registry here; ``conflicts``:
    what stays although the registry does not cover it; ``revocations``: up to which number of the ledger
    the site was told. ``drains``: the drains that the agent knows of, by site, each with its id. At a site
    that is drained itself ``drained`` are the prefixes that are off (or have the longer path) for it, and
    ``kept`` what the drain was to take off and the agent did not let go.
    ``resumed_from``: the journal (its life and generation) that this one was released in place of, the last
    time that it was quarantined.
    """

    site: str
    version: int
    generation: int
    epoch: str
    accounts: dict[str, ChunkHash]
    settled: bool
    speaker: str
    speaker_up: bool
    sent: dict[Prefix, tuple[int, ...]]
    machines: tuple[MachineStatus, ...]
    waiting: tuple[Waiting, ...] = ()
    fault: str = ""
    held: tuple[HeldEffect, ...] = ()
    unconfirmed: dict[str, int] = {}
    nonce: str = ""
    cut_off: str = ""
    fence: int = 0
    health: tuple[HealthWish, ...] = ()
    registry: str = "not known: the agent does not say"
    conflicts: tuple[RegistryConflict, ...] = ()
    drains: dict[str, str] = {}
    drained: tuple[Prefix, ...] = ()
    kept: tuple[HeldEffect, ...] = ()
    revocations: int = 0
    resumed_from: tuple[str, int] | None = None


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed record that a person brings to a site: an override, an emergency, a statement."""

    text: str


class Done(msgspec.Struct, frozen=True):
    """What came of it, in words; ``nonce``: what the next override must name."""

    done: tuple[str, ...]
    nonce: str


class BindingItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One binding as it travels to a machine."""

    cidr: Prefix
    service_id: str
    account_id: str
    binding_id: str


class BindingSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A machine's full set of bindings, ordered; ``hash`` is the SHA-256 of their canonical JSON."""

    generation: int
    hash: str
    bindings: tuple[BindingItem, ...]


class BindingAck(msgspec.Struct, frozen=True):
    """What a machine holds, on disk and in its kernel, at this moment.

    ``absent``: prefixes whose bindings are in the set and are not served all the same, which the machine
    knows for certain (:mod:`controller.machine.absence`).
    """

    name: str
    generation: int
    hash: str
    absent: tuple[Prefix, ...] = ()


class AbsenceReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a service check, or a person, tells a machine: all prefixes whose bindings are absent there.

    It holds for ``for_s`` seconds and replaces what was told before; whoever means it longer repeats it.
    """

    absent: tuple[Prefix, ...]
    for_s: float = 60.0

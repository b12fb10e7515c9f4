"""The agent's own policy: compiled-in floors, a file that can only tighten them, and signed records (pure).

``AgentPolicy()`` is what production has (SAFETY.md, 3 and 7). A site's file says less is allowed, never more:
:func:`tighten` refuses anything else. What loosens comes as a :class:`PolicyRecord`, signed by a key of the
agent's configuration, and counts only once the agent itself has known it for its delay: so a stolen key, or a
slip of the hand, leaves time to see it. Numbers are BGP prefixes; times are seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from controller.errors import HeraldError
from controller.safety.budget import Limit
from controller.safety.signed import SignedError, open_signed, sign_record

DOMAIN = "herald agent policy 1"


class AgentPolicyError(HeraldError):
    """A policy's file or record is none, would loosen what only a signed record may, or is not ours."""


class AgentGuards(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the agent's guards are armed. All are in production; a laboratory disarms them in turn."""

    intents: bool = True
    """Nothing is taken away that nobody asked for."""
    budget: bool = True
    keeper: bool = True
    """A keeper site lets its prefix go for its owner alone."""
    registry: bool = True
    """Nothing is announced anew that the registry does not cover (once its keys are there)."""


class AgentPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it; ``AgentPolicy()`` is the floor."""

    guards: AgentGuards = AgentGuards()
    budget: tuple[Limit, ...] = (Limit(60, 20), Limit(600, 50), Limit(3600, 120), Limit(86400, 500))
    """Withdrawals at this site, whatever caused them: an express change and a small migration fit, while
    22 a minute for 50 minutes (1,100) end after the first 50 and cost 120 in all."""
    emergency: tuple[Limit, ...] = (Limit(600, 20), Limit(86400, 100))
    """Those of the emergency lane; they count in ``budget``, too, for what comes after them."""
    drain: tuple[Limit, ...] = (Limit(86400, 10000),)
    """Those of a drain: all that a site announces, once a day."""
    keepers: Annotated[int, msgspec.Meta(ge=0)] = 2
    """Sites of the fleet that keep a prefix, by hash (K); all if there are fewer."""
    announce_least: Annotated[int, msgspec.Meta(ge=0)] = 2
    """So many live machines must hold a route's bindings, or all if fewer; and ``announce_share`` of them."""
    announce_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    health_withdrawal: bool = False
    """Whether a route may be withdrawn because its machines report its bindings absent, at all."""
    withdraw_least: Annotated[int, msgspec.Meta(ge=0)] = 2
    """So many machines must report that, or all that the site has if fewer; and ``withdraw_share`` of the
    live ones. One machine that answers among silent ones is too few."""
    withdraw_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    withdraw_after_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    """For so long without a break they must report it before the route may go."""
    return_after_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    """For so long without a break the announce quorum must have held before it comes back."""
    ceiling: Annotated[int, msgspec.Meta(ge=1)] = 2_000_000
    """BGP prefixes that the site announces at most: more is a leak, not growth."""
    unconfirmed_after_s: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    """Without a word of the controller for so long, the site's report says that it is cut off."""
    clock_skew_s: Annotated[float, msgspec.Meta(ge=0)] = 120.0
    """How far the clock of whoever signed an intent may run ahead of the site's."""
    override_s: Annotated[float, msgspec.Meta(ge=0)] = 3600.0
    """An override or emergency that holds for longer is refused."""


TO_RAISE = (
    "keepers",
    "announce_least",
    "announce_share",
    "withdraw_least",
    "withdraw_share",
    "withdraw_after_s",
    "return_after_s",
)
"""Numbers that a file may raise and not lower; ``return_after_s`` since a route that flaps is worse than one
that comes back late."""

FLOOR = AgentPolicy()
"""What holds where nothing else does."""


def quorum(live: int, policy: AgentPolicy = FLOOR) -> int:
    """Return how many of ``live`` machines must hold a binding before its route becomes announced."""
    share = -int(-live * policy.announce_share // 1)  # rounded up
    return min(live, max(policy.announce_least, share))


def withdraw_quorum(live: int, machines: int, policy: AgentPolicy = FLOOR) -> int:
    """Return how many of a site's ``machines``, ``live`` of which answer, must report a binding absent.

    Always one at least: nobody's silence is a report. It may be more than are live: then nothing goes.
    """
    share = -int(-live * policy.withdraw_share // 1)
    return max(1, share, min(machines, policy.withdraw_least))


def parse_policy(text: str, base: AgentPolicy) -> AgentPolicy:
    """Return the policy that a site's file (TOML) makes of ``base``.

    Raises :class:`AgentPolicyError` that names the key when the file is none, or would loosen anything.
    """
    try:
        said = msgspec.toml.decode(text)
        wanted = msgspec.convert({**msgspec.to_builtins(base), **_merged(said, base)}, AgentPolicy)
    except (msgspec.MsgspecError, ValueError) as error:
        raise AgentPolicyError(f"this is no agent's policy: {error}") from error
    return tighten(base, wanted)


def tighten(base: AgentPolicy, wanted: AgentPolicy) -> AgentPolicy:
    """Return ``wanted`` if it allows no more than ``base`` anywhere; raises :class:`AgentPolicyError`."""
    for name in AgentGuards.__struct_fields__:
        if getattr(base.guards, name) and not getattr(wanted.guards, name):
            raise AgentPolicyError(f"guards.{name}: a file cannot disarm a guard; it takes a signed record")
    for name in ("budget", "emergency", "drain"):
        _no_wider(name, getattr(base, name), getattr(wanted, name))
    if wanted.health_withdrawal and not base.health_withdrawal:
        raise AgentPolicyError("health_withdrawal: a file cannot allow it; it takes a signed record")
    for name in TO_RAISE:
        if getattr(wanted, name) < getattr(base, name):
            raise AgentPolicyError(f"{name}: {getattr(wanted, name)} is less than {getattr(base, name)}")
    for name in ("ceiling", "unconfirmed_after_s", "clock_skew_s", "override_s"):
        if getattr(wanted, name) > getattr(base, name):
            raise AgentPolicyError(f"{name}: {getattr(wanted, name)} is more than {getattr(base, name)}")
    return wanted


def _merged(said: object, base: AgentPolicy) -> dict[str, object]:
    if not isinstance(said, dict):
        raise AgentPolicyError("an agent's policy is a table of TOML")
    guards = said.get("guards")
    if isinstance(guards, dict):
        said = {**said, "guards": {**msgspec.to_builtins(base.guards), **guards}}
    return said


def _no_wider(name: str, base: Iterable[Limit], wanted: tuple[Limit, ...]) -> None:
    """Each limit of ``base`` must follow from one of ``wanted`` with no shorter window and no more in it."""
    for limit in base:
        if not any(w.seconds >= limit.seconds and w.number <= limit.number for w in wanted):
            raise AgentPolicyError(
                f"{name}: nothing in it keeps to {limit.number} in {limit.seconds:g} s, which is the floor"
            )


class PolicyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy that a person signed, for one site or (``*``) for all. ``serial``: a later one replaces it."""

    site: str
    serial: int
    policy: AgentPolicy
    who: str
    why: str


def sign_policy(record: PolicyRecord, private_key: bytes) -> str:
    """Return the text of ``record``, signed with a raw Ed25519 key."""
    return sign_record(DOMAIN, msgspec.json.encode(record), private_key)


def read_policy_record(text: str, site: str, public_keys: Iterable[bytes]) -> PolicyRecord:
    """Return the record for ``site`` in ``text``; raises :class:`AgentPolicyError`."""
    try:
        record = msgspec.json.decode(open_signed(DOMAIN, text, public_keys), type=PolicyRecord, strict=True)
    except (SignedError, msgspec.MsgspecError) as error:
        raise AgentPolicyError(f"this policy record is refused: {error}") from error
    if record.site not in (site, "*"):
        raise AgentPolicyError(f"this policy record is for site {record.site}, not for {site}")
    return record


def in_effect(
    record: PolicyRecord | None, known_for_s: float, delay_s: float, tightened_by: str = ""
) -> AgentPolicy:
    """Return the policy that holds: the floor, or the record's once it has been known for its delay.

    ``tightened_by``: the text of the site's file. Raises :class:`AgentPolicyError` for that.
    """
    base = AgentPolicy() if record is None or known_for_s < delay_s else record.policy
    return parse_policy(tightened_by, base) if tightened_by else base


def record_hash(text: str) -> str:
    """Return the name of a policy record's text."""
    return hashlib.sha256(text.encode()).hexdigest()

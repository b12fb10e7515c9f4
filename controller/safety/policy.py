"""The policy of the controller's guards (pure): what is allowed without asking anybody, and what is not.

A policy is one TOML file; what it leaves out has the production default that stands here. An unknown key, a
wrong type or a value out of range refuses the whole file. Numbers are BGP prefixes unless they say otherwise;
times are seconds; shares are from 0 to 1 and count only above :attr:`Breaker.floor`.

An agent has a policy of its own (``controller.agent.policy``): it trusts this one with nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from controller.errors import HeraldError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


Audience = Literal["touched", "everybody", "management"]
"""Who is told of an open scope beside operators and the accounts that are concerned.

``touched``: accounts that lost something of late which counts in it, or with changes that it holds.
``everybody``: all whose changes it may hold; of an actor, all of whom it ever changed anything.
``management``: whom the operators answer to.
"""


class PolicyError(HeraldError):
    """The policy's text is not one; the message names the key."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Guards(_Section, frozen=True):
    """Which of the controller's guards are armed. All are in production; a replay disarms them in turn."""

    intents: bool = True
    """A subtractive effect that nobody asked for is held: the allowance is zero."""
    breaker: bool = True
    staged: bool = True
    """Off: everything takes one wave with no gate."""
    ceiling: bool = True
    """More BGP prefixes announced than the ceiling are a leak."""
    non_production: bool = True
    """What a change does to prefixes that it does not name is held (guards.md, 10)."""
    last_site: bool = True
    """A prefix is not taken below ``min_sites`` without its owner's intent."""
    correlated: bool = True
    """Health withdrawals that many sites want at once are held."""
    shrinkage: bool = True
    """A source that has suddenly shrunk is an error."""
    tasks: bool = True
    """What a task tries is checked against the scope that it foretold."""


class Window(_Section, frozen=True):
    """More than ``number`` in ``seconds``, or more than ``share`` above the floor, is too many."""

    seconds: Positive
    number: Count
    share: Share


class Breaker(_Section, frozen=True):
    """When the breaker opens, by scope; and when it tells whom again (SAFETY.md, 4)."""

    floor: Count = 5
    fleet: tuple[Window, ...] = (
        Window(seconds=60, number=10, share=0.01),
        Window(seconds=600, number=20, share=0.02),
        Window(seconds=3600, number=60, share=0.05),
        Window(seconds=86400, number=250, share=0.10),
    )
    actor: tuple[Window, ...] = (
        Window(seconds=60, number=5, share=0.005),
        Window(seconds=600, number=10, share=0.01),
        Window(seconds=3600, number=30, share=0.03),
        Window(seconds=86400, number=100, share=0.06),
    )
    """For everybody but owners about their own."""
    account: tuple[Window, ...] = (
        Window(seconds=60, number=50, share=1.0),
        Window(seconds=600, number=100, share=1.0),
        Window(seconds=3600, number=200, share=1.0),
        Window(seconds=86400, number=500, share=1.0),
    )
    """One account's own owner; what others do to it counts as theirs and the fleet's."""
    classes: tuple[Window, ...] = (
        Window(seconds=60, number=8, share=0.008),
        Window(seconds=600, number=15, share=0.015),
        Window(seconds=3600, number=45, share=0.04),
        Window(seconds=86400, number=170, share=0.08),
    )
    """One class of change (what the effects are: withdraw, unbind, …), whoever makes it."""
    owners: tuple[Window, ...] = (
        Window(seconds=60, number=150, share=0.05),
        Window(seconds=600, number=400, share=0.10),
        Window(seconds=3600, number=1000, share=0.20),
        Window(seconds=86400, number=3000, share=0.40),
    )
    """All that owners asked for, together: the second line for when the intent service is wrong or stolen.
    It opens the fleet."""
    owners_floor: Count = 100
    """Their shares count above so many: no account may open the fleet by using its own budget up."""
    accounts: tuple[Window, ...] = (
        Window(seconds=600, number=5, share=0.01),
        Window(seconds=3600, number=15, share=0.03),
    )
    """Breadth: how many different accounts lose something that their owners did not ask for."""
    gone_counts: Positive = 2
    """A prefix that nobody asked to have taken below ``lanes.min_sites`` counts as so many."""
    several: Positive = 3
    """So many open scopes of one kind open the next wider scope."""
    several_within_s: Positive = 3600
    """They count together when they opened within so long."""
    remind_after: tuple[Positive, ...] = (300, 900, 3600)
    """Seconds after the opening at which whoever has not answered is told again, each time wider."""
    remind_whom: tuple[Audience, ...] = ("touched", "everybody", "management")
    """Who is told at each of these deadlines, beside all who were told at the ones before."""


class Signals(_Section, frozen=True):
    """What opens the breaker beside counts of changes; shares count above the breaker's floor."""

    visibility: tuple[Window, ...] = (
        Window(seconds=60, number=10, share=0.01),
        Window(seconds=600, number=20, share=0.02),
        Window(seconds=3600, number=60, share=0.05),
    )
    """Prefixes that independent observers see no more, and that nobody asked to withdraw."""
    health_worse: Share = 0.1
    """So much larger a share of changed accounts fails than of unchanged ones."""
    health_least: Positive = 2
    """At least so many changed accounts fail."""
    shrunk_to: Share = 0.5
    """A source that gives less than this share of what it gave before has shrunk."""


class Lanes(_Section, frozen=True):
    """What is small enough for the express lane, and what a task or operator may do at once."""

    express_bgp_prefixes: Count = 4
    min_sites: Count = 1
    """Below so many sites a prefix is not taken unless its owner asked (guards.md, 4)."""
    unbind_after_s: Seconds = 30.0
    """A delete is two roll-outs: bindings go so long after the routes are seen to be gone."""
    drains_at_once: Positive = 1
    drain_elsewhere: Positive = 2
    """A drain needs each prefix observed at so many other sites."""
    emergency: tuple[Window, ...] = (
        Window(seconds=600, number=20, share=1.0),
        Window(seconds=86400, number=60, share=1.0),
    )
    """What emergencies may take away: the breaker does not hold them, this does."""
    migration: tuple[Window, ...] = (
        Window(seconds=60, number=50, share=1.0),
        Window(seconds=600, number=200, share=1.0),
        Window(seconds=3600, number=600, share=1.0),
        Window(seconds=86400, number=2500, share=1.0),
    )
    """How fast one account may move away; it is charged to the account, never to the fleet."""
    ceiling: Positive = 2_000_000
    """BGP prefixes that may be announced at all; more is a leak, not growth."""


class Waves(_Section, frozen=True):
    """How a staged roll-out goes over the sites."""

    canaries: Positive = 2
    control: Count = 1
    """Sites that stay unchanged until the canaries have passed, to compare with."""
    shares: tuple[Share, ...] = (0.1, 0.25, 0.5, 1.0)
    """Growing shares of all sites, after the canaries."""
    bake_s: Seconds = 60.0
    """Each wave's bake for a change that takes one BGP prefix away; it grows with the blast radius."""
    bake_most_s: Seconds = 3600.0
    confirm_within_s: Seconds = 120.0
    """An agent puts back what the controller has not confirmed by then (commit-confirm)."""


class Gates(_Section, frozen=True):
    """What a wave must show before the next one begins."""

    observers: Positive = 2
    """How many independent kinds of observer must agree (k), or all there are if fewer."""
    wait_s: Seconds = 30.0
    """How long a gate may lack data before it is inconclusive."""
    lost_share: Share = 0.02
    """More of the unchanged prefixes lost at a changed site than this is a failure."""
    probe_attempts: Positive = 3


class Correlated(_Section, frozen=True):
    """When health withdrawals of several sites are taken for one mistake (guards.md, 5)."""

    window_s: Seconds = 120.0
    """Sites that begin to want one within so long of each other count together."""
    share: Share = 0.5
    """Of all sites."""
    least: Positive = 2
    """So many sites at least: one alone is never correlated."""


class Tasks(_Section, frozen=True):
    """What tasks may do."""

    approve_above: Count = 10
    """A run that would touch more objects waits for a second person."""
    most_a_run: Positive = 100
    timeout_s: Seconds = 600.0


class Policy(_Section, frozen=True):
    """All of it. ``Policy()`` is what production has."""

    guards: Guards = Guards()
    breaker: Breaker = Breaker()
    signals: Signals = Signals()
    lanes: Lanes = Lanes()
    waves: Waves = Waves()
    gates: Gates = Gates()
    correlated: Correlated = Correlated()
    tasks: Tasks = Tasks()


def parse_policy(text: str) -> Policy:
    """Return the policy in ``text`` (TOML); raises :class:`PolicyError` that names the key and the rule."""
    try:
        found = msgspec.toml.decode(text, type=Policy, strict=True)
    except msgspec.ValidationError as error:
        raise PolicyError(f"this is no policy: {error}: see herald policy show") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise PolicyError(f"this is no TOML: {error}") from error
    shares = found.waves.shares
    if not shares or list(shares) != sorted(set(shares)) or shares[-1] != 1.0:
        raise PolicyError(f"waves.shares must grow and end at 1.0, and read {list(shares)}")
    return found

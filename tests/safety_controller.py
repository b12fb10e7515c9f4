"""A controller in one value, for tests of the pure safety core: it asks, records and opens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controller.bgp import Prefix
from controller.safety import breaker
from controller.safety.assess import counted, judge, told
from controller.safety.candidate import Candidate, Context, Numbers
from controller.safety.effects import Effect, EffectVerb
from controller.safety.freeze import Freeze
from controller.safety.intents import Intent, IntentKind, ordered
from controller.safety.policy import Policy
from controller.safety.verdict import Lane, Verdict
from controller.safety.windows import Ledger

SITES = ("s1", "s2", "s3", "s4", "s5", "s6")
SOON = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: dict[EffectVerb, IntentKind] = {
    "withdraw": "withdraw",
    "unbind": "unbind",
    "more-prepend": "prepend",
    "reorigin": "reorigin",
}


def prefix(n: int) -> Prefix:
    """Return the n-th prefix of a large fleet."""
    return Prefix(f"10.{n // 256}.{n % 256}.0/24")


def at_sites(cidrs: Iterable[Prefix], verb: EffectVerb, sites: Iterable[str] = SITES) -> list[Effect]:
    """Return one effect on each prefix at each site."""
    places = tuple(sites)
    return [Effect(site, cidr, verb) for cidr in cidrs for site in places]


def asked_by_owner(account: str, effects: Iterable[Effect]) -> list[Intent]:
    """Return the intents with which the owner asked for subtractive ``effects``."""
    return _asked(account, effects, "owner", ("token",))


def asked_by_operators(account: str, effects: Iterable[Effect]) -> list[Intent]:
    """Return the intents with which two operators asked for subtractive ``effects``."""
    return _asked(account, effects, "operators", ("one", "two"))


def _asked(
    account: str, effects: Iterable[Effect], authority: object, asked_by: tuple[str, ...]
) -> list[Intent]:
    found: dict[IntentKind, set[Prefix]] = {}
    for effect in effects:
        if effect.kind == "subtractive":
            found.setdefault(KINDS[effect.verb], set()).add(effect.cidr)
    return [
        Intent(account, kind, ordered(cidrs), None, None, SOON, SOON, SOON, "nonce", authority, asked_by)  # type: ignore[arg-type]
        for kind, cidrs in found.items()
    ]


@dataclass
class Controller:
    """Admission without store and roll-outs. ``announced`` is changed by what is admitted."""

    policy: Policy = field(default_factory=Policy)
    numbers: Numbers = field(default_factory=lambda: Numbers(account=10, fleet=5000, accounts=900))
    ledger: Ledger = field(init=False)
    state: breaker.State = field(default_factory=breaker.State)
    freezes: list[Freeze] = field(default_factory=list)
    announced: dict[Prefix, set[str]] = field(default_factory=dict)
    admitted: list[tuple[Candidate, float]] = field(default_factory=list)
    commands: list[tuple[float, breaker.Command]] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.policy)

    def ask(
        self,
        effects: Iterable[Effect],
        actor: str,
        account: str,
        now: float,
        *,
        intents: Sequence[Intent] = (),
        lane: Lane | None = None,
        **more: object,
    ) -> Verdict:
        """Assess one change-set, and carry out what follows."""
        found = tuple(effects)
        for effect in found:
            self.announced.setdefault(effect.cidr, set(SITES))
        context = Context(
            policy=self.policy,
            actor=actor,
            owner=actor == f"customer:{account}",
            account_id=account,
            numbers=self.numbers,
            ledger=self.ledger,
            now=now,
            intents=intents,
            lane=lane,
            breaker=self.state,
            freezes=self.freezes,
            announced=self.announced,
            **more,  # type: ignore[arg-type]
        )
        self.asked += 1
        candidate = Candidate(found, context)
        verdict = judge(candidate)
        self.ledger.record(counted(candidate, verdict))
        for event in told(candidate, verdict, f"change-set-{self.asked}"):
            self.tell(event, now)
        if verdict.decision != "hold":
            self.admitted.append((candidate, self.ledger.now))
            self._carry_out(found)
        return verdict

    def tell(self, event: breaker.Event, now: float) -> list[breaker.Command]:
        """Give the breaker one event."""
        self.state, commands = breaker.step(self.state, event, now, self.policy)
        self.commands += [(now, c) for c in commands]
        for command in commands:
            if isinstance(command, breaker.Forget):
                self.ledger.forget(command.scope, command.at)
        return commands

    def opened(self, scope: str) -> float | None:
        """Return when a scope opened first; None: never."""
        told = (t for t, c in self.commands if isinstance(c, breaker.Notify) and c.scope == scope)
        return next(told, None)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if effect.verb == "announce":
                self.announced[effect.cidr].add(effect.site)
            elif effect.verb == "withdraw":
                self.announced[effect.cidr].discard(effect.site)

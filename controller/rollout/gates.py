"""The gate after a wave (pure): what was seen before and after, at changed and unchanged sites → an answer.

Nothing measured is never a pass of anything subtractive (guards.md, 17). k of n independent kinds of observer
must agree that a site is as it should be, and none may disagree; k must agree that it is not, for a failure.
What one kind alone says against the others is inconclusive: it stops, and a person looks.

More bad evidence never turns an answer into a pass (``tests/properties/test_gate_laws.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from controller.bgp import AsPath, Prefix
from controller.observe.evidence import Kind, Moment, Word
from controller.rollout.gatekeeper import GateAnswer, GateOutcome, GateQuestion
from controller.rollout.votes import (
    Says,
    Scene,
    Vote,
    named,
    path_fits,
    probes_vote,
    routes_vote,
    wanted_at,
)
from controller.safety.policy import Policy
from controller.transport.messages import SiteStatus

PATIENCE = 0.5
"""The share of the gate's wait that a route has to get to the observers, before its absence is a failure."""
ORDER: tuple[GateOutcome, ...] = ("pass", "inconclusive", "error", "fail")
"""From the best to the worst: the worst of all parts is the answer."""

Part = tuple[GateOutcome, str]


def judge(
    question: GateQuestion,
    policy: Policy,
    before: Moment | None,
    after: Moment,
    *,
    now: float,
    gone: Mapping[str, frozenset[Prefix]] | None = None,
) -> GateAnswer:
    """Return whether the wave is sound at ``now`` (monotonic seconds, as ``question.began``).

    ``before``: the baseline; None when it is not known any more (then only what the change itself was to do
    can be judged, and nothing subtractive passes). ``gone``: by site, prefixes outside of the change that
    nobody wants there any more, since other changes took them away meanwhile.
    """
    late = now - question.began >= PATIENCE * policy.gates.wait_s
    evidence: dict[str, str] = {}
    parts: list[Part] = []

    def votes_on(site: str) -> list[Vote]:
        scene = Scene(
            before or Moment(),
            after,
            question.footprint,
            (gone or {}).get(site, frozenset()),
            policy.gates.lost_share,
            policy.guards.shrinkage,
        )
        return _votes(scene, site, changed=site in question.changed)

    votes = {site: votes_on(site) for site in question.unchanged}
    for site, theirs in votes.items():
        evidence |= {f"{site} {v.kind}": f"{v.says.name.lower()}: {v.why}" for v in theirs}
    control = _control(votes)
    if control is not None:
        parts.append(control)
    for site in question.changed:
        agents = agents_part(question, after.word(site), site, late=late)
        mine = votes_on(site)
        observers = _observers_part(_Tally(site, mine, late, policy.gates.observers), question, control)
        evidence[f"{site} agents"] = agents[1]
        evidence |= {f"{site} {v.kind}": f"{v.says.name.lower()}: {v.why}" for v in mine}
        parts += [agents, observers]
    if before is None and question.subtractive:
        parts.append(
            ("inconclusive", "no baseline to compare with: look again before anything is taken away")
        )
    return _answer(question, parts, evidence)


def baseline(question: GateQuestion, policy: Policy, now: Moment) -> GateAnswer:
    """Return whether the wave's sites are fit to be changed first: one that is not is not used."""
    evidence: dict[str, str] = {}
    parts: list[Part] = []
    for site in question.changed:
        parts.append(_own_baseline(question, policy, now, site))
        carried = sorted(
            {p.prefix for p in now.probes_of(site) if p.prefix in question.unasked and site in p.led_to}
        )
        if carried:
            parts.append(
                (
                    "fail",
                    f"{named(carried)} still carries traffic at {site}, and nobody asked for its withdrawal",
                )
            )
        evidence[site] = "; ".join(why for _, why in parts[-2:])
    return _answer(question, parts, evidence)


def _own_baseline(question: GateQuestion, policy: Policy, now: Moment, site: str) -> Part:
    word = now.word(site)
    if word is None or word.status is None:
        return "inconclusive", f"{site}: its agent does not answer{_because(word)}"
    if word.status.fault:
        return "fail", f"{site}: the agent is quarantined: {word.status.fault}"
    kinds = [
        k
        for k in ("rib", "wire")
        if any(s.kind == k and s.site == site and s.state == "told" for s in now.sights)
    ]
    probes = [p for p in now.probes_of(site) if p.through != "unsent"]
    told = len(kinds) + bool(probes)
    touched = {p for p, _ in question.footprint.bgp}
    sent = set(word.sent or {}) - touched
    for kind in kinds:
        seen = {p for s in now.sights if s.kind == kind and s.site == site for p in s.holds}
        missing = sent - seen
        if missing and len(missing) > policy.gates.lost_share * len(sent):
            said = f"{len(missing)} of {len(sent)} prefixes that it sends are not seen there by {kind}"
            return "fail", f"{site}: {said} ({named(missing)}): choose another canary"
    dead = {p.prefix for p in probes} - {p.prefix for p in probes if p.through == "answered"} - touched
    if dead and 2 * len(dead) > len({p.prefix for p in probes} - touched):
        return "fail", f"{site}: {named(dead)} do not answer through it already: choose another canary"
    if told == 0 and question.subtractive:
        return "inconclusive", f"{site}: nobody sees it, so nothing can be compared"
    return "pass", f"{site}: {told} kinds of observer see {len(sent)} unchanged prefixes"


def agents_part(question: GateQuestion, word: Word | None, site: str, *, late: bool) -> Part:
    """Judge what the agent reports of its machines, and what its speaker says that it sends."""
    if word is None or word.status is None:
        return "inconclusive", f"{site}: its agent does not answer{_because(word)}"
    status = word.status
    if status.fault:
        return "error", f"{site}: the agent is quarantined: {status.fault}"
    waiting = _waiting(question, status)
    if waiting:
        return "inconclusive", f"{site}: {waiting}"
    if word.sent is None:
        return "inconclusive", f"{site}: the speaker cannot be asked what it sends{_because(word)}"
    wrong = _adj_rib_out(question, site, word.sent)
    if wrong:
        said = f"{site}: Adj-RIB-Out differs from what is asked: {'; '.join(wrong[:5])}"
        return ("fail" if late else "inconclusive"), said
    live = sum(m.live for m in status.machines)
    return "pass", f"{site}: {live} of {len(status.machines)} machines live, Adj-RIB-Out as asked"


def _waiting(question: GateQuestion, status: SiteStatus) -> str:
    """Say what the agent itself still waits for; empty when for nothing."""
    mine = {p for p, _ in question.footprint.bgp}
    waits = [f"{w.prefix}: {w.reason}" for w in status.waiting if w.prefix in mine]
    waits += [f"{h.prefix}: {h.check}: {h.reason}" for h in status.held if h.prefix in mine]
    if waits:
        return f"the agent waits: {'; '.join(waits[:5])}"
    if question.footprint.bindings and not status.settled:
        silent = [m.name for m in status.machines if not m.live]
        return f"not settled{f' ({named(silent)} silent)' if silent else ''}"
    return ""


def _adj_rib_out(question: GateQuestion, site: str, sent: Mapping[Prefix, AsPath]) -> list[str]:
    wrong = []
    for prefix, bgp in question.footprint.bgp:
        path = sent.get(prefix)
        if bgp is None or not wanted_at(bgp, site):
            if path is not None:
                wrong.append(f"{prefix} is sent")
        elif path is None:
            wrong.append(f"{prefix} is not sent")
        elif not path_fits(bgp, path):
            wrong.append(f"{prefix} has AS path {' '.join(map(str, path))}")
    return wrong


def _votes(scene: Scene, site: str, *, changed: bool) -> list[Vote]:
    kinds: list[Kind] = sorted(scene.after.kinds | scene.before.kinds)
    return [
        probes_vote(scene, site, changed=changed)
        if kind == "probe"
        else routes_vote(scene, kind, site, changed=changed)
        for kind in kinds
    ]


class _Tally:
    """The votes on one site, counted; ``late``: what is not as asked by now is bad."""

    def __init__(self, site: str, votes: list[Vote], late: bool, observers: int) -> None:
        self.site = site
        self.votes = votes
        self.needed = max(1, min(observers, len(votes)))
        self.good = [v for v in votes if v.says is Says.GOOD]
        self.bad = [v for v in votes if v.says is Says.BAD or (late and v.says is Says.LATE)]
        self.against = [v for v in votes if v.says in (Says.BAD, Says.LATE)]
        self.broken = [v for v in votes if v.says is Says.ERROR]

    @property
    def whys(self) -> str:
        """The reasons of the worst that there is."""
        return _whys(self.bad or self.against or self.votes) or "there are no observers"


def _control(votes: Mapping[str, list[Vote]]) -> Part | None:
    """Say what is wrong at sites that were not touched; None: nothing is known to be."""
    bad = [v for theirs in votes.values() for v in theirs if v.says is Says.BAD]
    if not bad:
        return None
    said = f"the control is not sound: {bad[0].site} by {bad[0].kind}: {bad[0].why}"
    return "inconclusive", f"{said}: not this wave alone"


def _observers_part(tally: _Tally, question: GateQuestion, control: Part | None) -> Part:
    site, of = tally.site, len(tally.votes)
    if len(tally.bad) >= tally.needed:
        if control is not None:
            return (
                "inconclusive",
                f"{site}: {tally.whys}; the control, which was not touched, suffers as well",
            )
        return "fail", f"{site}: {len(tally.bad)} of {of} kinds of observer agree: {tally.whys}"
    if tally.broken:
        return "error", f"{site}: {_whys(tally.broken)}"
    if tally.against:
        what = f"observers disagree: {_names(tally.good)} for it" if tally.good else "not (yet) as asked"
        return "inconclusive", f"{site}: {what}: {tally.whys}"
    if tally.votes and len(tally.good) >= tally.needed:
        return "pass", f"{site}: {len(tally.good)} of {of} kinds of observer agree ({_names(tally.good)})"
    told = f"{len(tally.good)} of {tally.needed} kinds of observer that must agree can tell"
    by_agents = f"{site}: {told}; goes on by its machines' acknowledgements and Adj-RIB-Out"
    return ("inconclusive", f"{site}: {told}: {tally.whys}") if question.subtractive else ("pass", by_agents)


def _whys(votes: Sequence[Vote]) -> str:
    return "; ".join(f"{v.kind}: {v.why}" for v in votes)


def _names(votes: Sequence[Vote]) -> str:
    return ", ".join(v.kind for v in votes)


def _because(word: Word | None) -> str:
    return f": {word.why}" if word is not None and word.why else ""


def _answer(question: GateQuestion, parts: Sequence[Part], evidence: dict[str, str]) -> GateAnswer:
    kind: Literal["subtractive", "additive"] = "subtractive" if question.subtractive else "additive"
    if not parts:
        outcome: GateOutcome = "inconclusive" if question.subtractive else "pass"
        return GateAnswer(outcome, f"wave {question.wave} ({kind}) has no site to look at", evidence)
    worst = max((outcome for outcome, _ in parts), key=ORDER.index)
    whys = list(dict.fromkeys(why for outcome, why in parts if outcome == worst))
    return GateAnswer(worst, f"wave {question.wave} ({kind}): {'; '.join(whys)}", evidence)

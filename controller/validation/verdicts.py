"""What the sources' answers mean for a prefix (pure).

``invalid`` takes positive evidence, from sources that all answered where another one could know better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from controller.validation.checks import Answer, Evidence, Subject, vrp_evidence
from controller.validation.ownership import find_token
from controller.validation.rpsl import RouteObject
from controller.validation.vrps import Vrp, VrpSet, key_of, validate_origin

MOST_EVIDENCE = 200
"""Pieces of evidence that are kept of one look-up."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """What a source said; ``value`` None: it gave no usable answer, for the reason ``error``."""

    source: str
    value: T | None
    error: str = ""


def judge_irr(subject: Subject, heard: Sequence[Heard[tuple[RouteObject, ...]]]) -> Answer:
    """Return what the registries say: a route object of exactly this prefix with the origin is valid."""
    exact = [(h.source, o) for h in heard for o in h.value or () if o.prefix == subject.cidr]
    evidence = _bounded({**o.evidence(), "server": s} for s, o in exact)
    right = [(s, o) for s, o in exact if o.origin == subject.asn]
    if right:
        server, found = right[0]
        notes = _others(o.origin for _, o in exact if o.origin != subject.asn)
        return Answer(
            "valid", f"{found.source} has it with origin AS{found.origin}", server, evidence, notes=notes
        )
    failures = [h for h in heard if h.value is None]
    if failures:
        return _failed(failures, evidence)
    sources = ", ".join(h.source for h in heard)
    if exact:
        origins = ", ".join(sorted({f"AS{o.origin}" for _, o in exact}))
        reason = f"the route objects of {subject.cidr} have the origin {origins}, not AS{subject.asn}"
        return Answer("invalid", reason, sources, evidence)
    return Answer("missing", f"no route object for exactly {subject.cidr} was found", sources)


def judge_rpki(subject: Subject, heard: Sequence[Heard[VrpSet]], now: datetime) -> Answer:
    """Return what the VRPs say (RFC 6811) of all sources that are fresh, taken together."""
    seconds = int(now.timestamp())
    sets = [(h.source, h.value.without_expired(seconds)) for h in heard if h.value is not None]
    failures = [h for h in heard if h.value is None]
    if not sets:
        return _failed(failures, ())
    key = key_of(subject.cidr)
    together = VrpSet(v for _, s in sets for v in s.overlapping(key))
    found = validate_origin(subject.cidr, subject.asn, together)
    ends = _ends(heard)
    names = ", ".join(name for name, _ in sets)
    nearest = (*found.covering, *sorted(v for v in together if v not in found.covering))
    evidence = _bounded(
        vrp_evidence(v, ends.get(v), _has(sets, v), matches=v in found.matching) for v in nearest
    )
    notes = (*_disagreement(subject, sets), *_parts(subject, together), *_silent(failures))
    if found.state == "valid":
        vrp = found.matching[0]
        known = [ends[v] for v in found.matching if v in ends]
        last = max(known) if len(known) == len(found.matching) else None
        reason = f"a ROA for {vrp.key.prefix} up to /{vrp.max_length} names AS{vrp.asn}"
        expires_at = None if last is None else _moment(last)
        return Answer("valid", reason, names, evidence, expires_at, notes)
    if found.state == "invalid":
        return Answer("invalid", _why_invalid(subject, found.covering), names, evidence, notes=notes)
    ended = [v for h in heard if h.value is not None for v in h.value.covering(key)]
    why = f"no ROA covers {subject.cidr}" + (": those that did have ended" if ended else "")
    return Answer("missing", why, names, evidence, notes=notes)


def judge_ownership(
    subject: Subject,
    routes: Sequence[Heard[tuple[RouteObject, ...]]],
    zones: Sequence[Heard[tuple[str, ...]]],
) -> Answer:
    """Return whether the token stands in a route object's remarks, or in TXT records of all reverse zones.

    ``zones``: one for each reverse zone of the prefix, with the texts of its records. Another token of
    Herald's there is evidence against.
    """
    another: list[Evidence] = []
    for h in routes:
        for o in h.value or ():
            if o.prefix != subject.cidr:
                continue
            verdict = find_token(o.remarks, subject.token)
            if verdict == "ours":
                shown: Evidence = {**o.evidence(), "server": h.source}
                return Answer("valid", f"{o.source} has the token in the remarks", h.source, (shown,))
            if verdict == "another":
                another.append({**o.evidence(), "server": h.source})
    found = [(z, find_token(z.value, subject.token)) for z in zones if z.value is not None]
    ours = [z for z, verdict in found if verdict == "ours"]
    if zones and len(ours) == len(zones):
        evidence = _bounded({"zone": z.source} for z in ours)
        return Answer("valid", "the TXT records of its reverse zones have the token", "dns", evidence)
    failures: list[Heard[Any]] = [
        *(h for h in routes if h.value is None),
        *(z for z in zones if z.value is None),
    ]
    if failures:
        return _failed(failures, ())
    another += [
        {"zone": z.source, "txt": list(z.value or ())} for z, verdict in found if verdict == "another"
    ]
    sources = ", ".join([*(h.source for h in routes), *(["dns"] if zones else [])])
    if another:
        return Answer("invalid", "there is a token of Herald's, but another one", sources, _bounded(another))
    gaps = [z.source for z in zones if z not in ours]
    where = f"; not in {', '.join(gaps[:3])}" + (" …" if len(gaps) > 3 else "") if gaps else ""
    return Answer("missing", f"the token was not found{where}", sources)


def _failed(failures: Sequence[Heard[Any]], evidence: tuple[Evidence, ...]) -> Answer:
    reasons = "; ".join(dict.fromkeys(h.error for h in failures))
    return Answer("failed", reasons[:1000], ", ".join(h.source for h in failures)[:500], evidence)


def _bounded(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(evidence)[:MOST_EVIDENCE]


def _others(origins: Iterable[int]) -> tuple[str, ...]:
    listed = ", ".join(f"AS{o}" for o in sorted(set(origins)))
    return (f"there are route objects with another origin, too: {listed}",) if listed else ()


def _ends(heard: Sequence[Heard[VrpSet]]) -> dict[Vrp, int]:
    """Return when VRPs end, the latest where several sources know it."""
    ends: dict[Vrp, int] = {}
    for h in heard:
        for vrp, at in (h.value.expires if h.value is not None else {}).items():
            ends[vrp] = max(at, ends.get(vrp, 0))
    return ends


def _has(sets: Sequence[tuple[str, VrpSet]], vrp: Vrp) -> str:
    return ", ".join(name for name, vrps in sets if vrp in vrps)


def _why_invalid(subject: Subject, covering: Sequence[Vrp]) -> str:
    same = [v for v in covering if v.asn == subject.asn]
    if same:
        longest = max(v.max_length for v in same)
        return f"the ROA for AS{subject.asn} ends at /{longest}, and {subject.cidr} is longer"
    if all(v.asn == 0 for v in covering):
        return f"a ROA for AS0 says that nobody may originate {subject.cidr} (RFC 6483, 4)"
    others = ", ".join(sorted({f"AS{v.asn}" for v in covering}))
    return f"the ROAs that cover {subject.cidr} name {others}, not AS{subject.asn}"


def _disagreement(subject: Subject, sets: Sequence[tuple[str, VrpSet]]) -> tuple[str, ...]:
    states = {name: validate_origin(subject.cidr, subject.asn, vrps).state for name, vrps in sets}
    if len(set(states.values())) < 2:
        return ()
    return ("the sources differ: " + ", ".join(f"{name} says {state}" for name, state in states.items()),)


def _parts(subject: Subject, vrps: VrpSet) -> tuple[str, ...]:
    return tuple(
        f"{part} is invalid as a BGP prefix of its own: no ROA allows AS{subject.asn} that length"
        for part in subject.parts
        if part != subject.cidr and validate_origin(part, subject.asn, vrps).state == "invalid"
    )


def _silent(failures: Sequence[Heard[VrpSet]]) -> tuple[str, ...]:
    return tuple(f"{h.source} was not asked: {h.error}" for h in failures)


def _moment(seconds: int) -> datetime:
    """Return unix seconds as a datetime; what is beyond its range is its end."""
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)

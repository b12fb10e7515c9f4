"""Laws of what ``herald shadow`` says of two states of a copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.shadow.compare import Compiled, compare
from controller.shadow.facts import ChangeSetFact, Facts, PartFact, PrefixFact
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    PrefixObject,
)

SITES = ("ams", "fra")
NOTHING = Compiled({}, {})


def prefix(account: str, number: int) -> str:
    return f"10.{ord(account)}.{number}.0/24"


@st.composite
def copies(draw: st.DrawFn) -> Facts:
    """A copy: each account's prefixes, all bound, some advertised, some to be removed."""
    prefixes: dict[str, PrefixFact] = {}
    bgp: dict[str, PartFact] = {}
    bindings: dict[str, PartFact] = {}
    head: dict[str, Chunk | None] = {}
    for account in draw(st.sets(st.sampled_from("abc"), min_size=1)):
        chunk = Chunk(account)
        for number in sorted(draw(st.sets(st.integers(0, 4), min_size=1))):
            cidr, id_ = prefix(account, number), f"{account}{number}"
            advertised, asked = draw(st.booleans()), draw(st.booleans())
            prefixes[id_] = PrefixFact(account, cidr, asked)
            bgp[id_] = PartFact(account, id_, cidr, advertised)
            bindings[id_] = PartFact(account, id_, cidr)
            chunk = Chunk(
                account,
                (*chunk.prefixes, PrefixObject(id_, Prefix(cidr), None)),
                (*chunk.bgp_prefixes, BgpPrefixObject(id_, id_, Prefix(cidr), None, advertised=advertised)),
                (*chunk.bindings, BindingObject(id_, id_, Prefix(cidr), "cdn")),
            )
        head[account] = chunk
    return Facts(prefixes, bgp, bindings, {}, head, (), SITES)


def without(facts: Facts, ids: set[str], *, state: str) -> Facts:
    """Return the copy after ``ids`` were deleted, their change-sets in ``state``."""
    made = []
    for id_ in sorted(ids):
        account = facts.prefixes[id_].account_id
        changes = tuple(Change(remove=(kind, id_)) for kind in ("bgp_prefix", "binding", "prefix"))
        body = ChangeSet(id_, account, "task:x", "clean-up", "2026-02-20T17:56:00Z", changes)
        made.append(ChangeSetFact(id_, account, "task:x", state, "", body))
    return replace(
        facts,
        prefixes={i: p for i, p in facts.prefixes.items() if i not in ids},
        bgp_prefixes={i: p for i, p in facts.bgp_prefixes.items() if i not in ids},
        bindings={i: p for i, p in facts.bindings.items() if i not in ids},
        change_sets=tuple(made),
    )


@given(copies())
def test_what_did_not_change_is_safe(facts: Facts) -> None:
    report = compare(facts, facts, (), NOTHING, SITES)
    assert report.safe and not report.configured and not report.operational


@given(copies(), st.data(), st.sampled_from(["queued", "rolling", "done", "held"]))
def test_it_is_safe_exactly_when_owners_asked_for_all_that_is_gone(
    facts: Facts, data: st.DataObject, state: str
) -> None:
    """Whatever the candidate's own guards made of it: what was held counts like what was done."""
    gone = data.draw(st.sets(st.sampled_from(sorted(facts.prefixes))))
    report = compare(facts, without(facts, gone, state=state), (), NOTHING, SITES)
    assert report.safe == all(facts.prefixes[i].asked for i in gone)
    lost = {(t.cidr, t.what) for t in report.operational}
    for id_ in gone:
        assert (facts.prefixes[id_].cidr, "unbind") in lost
        assert ((facts.prefixes[id_].cidr, "withdraw") in lost) == facts.bgp_prefixes[id_].advertised
    assert {c for c, _ in lost} == {facts.prefixes[i].cidr for i in gone}
    assert all(t.sites == len(SITES) for t in report.operational)


@given(copies(), st.data(), st.sampled_from(["done", "failed", "refused", "interrupted"]))
def test_a_plan_that_names_what_nobody_asked_for_is_no_pass_even_if_all_of_it_was_refused(
    facts: Facts, data: st.DataObject, state: str
) -> None:
    named = data.draw(st.sets(st.sampled_from(sorted(facts.prefixes)), min_size=1))
    objects = [
        {"id": i, "account_id": facts.prefixes[i].account_id, "cidr": facts.prefixes[i].cidr} for i in named
    ]
    step = {"method": "POST", "path": "/herald/v1/prefix_deletions", "body": {}, "objects": objects}
    left_out = [{"step": step, "plan": None, "refusal": "not_pending_delete"}]
    run: dict[str, Any] = {
        "task": "clean-up", "state": state, "reason": "", "calls": [],
        "plan": {"steps": [], "left_out": left_out, "notes": []},
    }  # fmt: skip
    report = compare(facts, facts, (run,), NOTHING, SITES)
    assert report.safe == (state == "done" and all(facts.prefixes[i].asked for i in named))
    assert report.unasked == sum(not facts.prefixes[i].asked for i in named)
    assert all(m.outcome.startswith("refused") for m in report.tasks[0].meant)


@given(copies())
def test_what_cannot_be_read_is_no_pass(facts: Facts) -> None:
    account = sorted(facts.head)[0]
    unread = replace(facts, head={**facts.head, account: None})
    assert not compare(facts, unread, (), NOTHING, SITES).safe
    assert not compare(unread, facts, (), NOTHING, SITES).safe
    foreign = replace(facts, change_sets=(ChangeSetFact("x", account, "task:x", "queued", "", None),))
    assert not compare(facts, foreign, (), NOTHING, SITES).safe


@given(copies())
def test_a_release_that_compiles_less_is_no_pass(facts: Facts) -> None:
    chunks = {a: c for a, c in facts.head.items() if c is not None}
    account = sorted(chunks)[0]
    less = Chunk(
        account, chunks[account].prefixes, chunks[account].bgp_prefixes[1:], chunks[account].bindings[1:]
    )
    assert compare(facts, facts, (), Compiled(chunks, chunks), SITES).compiled == ()
    report = compare(facts, facts, (), Compiled(chunks, {**chunks, account: less}), SITES)
    assert not report.safe and [c.account_id for c in report.compiled] == [account]

"""Holds, breaker and freezes over HTTP: who sees what, who may decide, and what a decision does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from controller.cli.app import run
from controller.guard import scopes
from controller.guard.admission import Guard
from controller.guard.routers import build_guard_routers
from controller.guard.scopes import Moment
from controller.guard.telling import MANAGEMENT, OPERATORS
from controller.rollout import admission, records
from controller.rollout.breaker_watch import BreakerWatch
from controller.safety.breaker import Exceeded
from controller.safety.policy import Breaker, Guards, Policy, Window
from controller.snapshots import store as snapshots
from controller.snapshots.tables import ChangeSetRow
from controller.timeline.tables import TimelineRow
from tests.addressing_api import SITES, Api, running_api

POLICY = Policy(guards=Guards(staged=False))
CIDRS = [f"198.18.{n}.0/24" for n in range(12)]


@dataclass
class World:
    """Account acme with twelve announced prefixes, and a guard that judges whatever is queued."""

    api: Api
    guard: Guard
    clients: dict[str, httpx.Client]
    moved: list[int] = field(default_factory=list)
    ids: dict[str, dict[str, str]] = field(default_factory=dict)
    two: tuple[httpx.Client, httpx.Client] | None = None

    def admit(self) -> None:
        with self.api.store.write() as session:
            while admission.has_queued(session):
                if not admission.admit_next(session, SITES, lambda _: None, 0.0, self.guard):
                    return

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.clients[who].request(method, path, json=body, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    def refused(self, who: str, call: tuple[str, str, Any], error: tuple[int, str], **headers: str) -> str:
        """Return what is said of a call (method, path, body) that is refused by this status and name."""
        (method, path, body), (status, label) = call, error
        answer = self.clients[who].request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        problem: dict[str, Any] = answer.json()
        said = str(problem.get("detail") or problem["errors"][0]["message"])
        assert label in answer.text, answer.text
        return said

    def advertise(self, who: str, cidr: str, advertised: bool) -> str:
        bgp = self.ids[cidr]["bgp"]
        answer = self.clients[who].put(
            f"/herald/v1/accounts/acme/bgp_prefixes/{bgp}/advertisement",
            json={"advertised": advertised, "sites": None},
        )
        assert answer.status_code == 200, answer.text
        self.admit()
        return str(answer.headers["Herald-Change-Set"])

    def state(self, change_set: str) -> str:
        with self.api.store.read() as session:
            found = session.scalar(select(ChangeSetRow.state).where(ChangeSetRow.id == change_set))
            assert found is not None
            return found

    def announced(self) -> int:
        with self.api.store.read() as session:
            return snapshots.announced(session, "acme")[0]

    def intent(self, *cidrs: str) -> str:
        """Return the id of an intent of two operators whose tokens come from elsewhere."""
        first, second = self.two or (self.clients["operator"], self.clients["operator"])
        body = {
            "account_id": "acme", "kind": "withdraw", "prefixes": list(cidrs), "sites": None,
            "reason": "looked at", "expires_in_s": 3600,
        }  # fmt: skip
        made = first.post("/herald/v1/intent_requests", json=body)
        assert made.status_code == 200, made.text
        done = second.post(f"/herald/v1/intent_requests/{made.json()['id']}/confirm")
        assert done.status_code == 200, done.text
        return str(made.json()["id"])

    def breaker(self, who: str = "operator") -> dict[str, Any]:
        found: dict[str, Any] = self.call(who, "GET", "/herald/v1/breaker")
        return found

    def told(self, account: str, type_: str) -> list[str]:
        with self.api.store.read() as session:
            rows = select(TimelineRow).where(TimelineRow.account_id == account, TimelineRow.type == type_)
            return [r.reason for r in session.scalars(rows.order_by(TimelineRow.seq))]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    moved: list[int] = []
    routers = build_guard_routers(lambda: POLICY, lambda: moved.append(1))
    with running_api(tmp_path, extra_routers=routers) as api:
        with api.store.write() as session:
            records.join_sites(session, SITES)
        client = api.client()
        client.create_service("cdn", "CDN")
        client.create_account("Acme", id="acme")
        client.create_account("Globex", id="globex")
        tokens = {
            "owner": client.create_token("customer", account_id="acme")["token"],
            "stranger": client.create_token("customer", account_id="globex")["token"],
            "operator": api.token,
            "second": client.create_token("operator")["token"],
            "third": client.create_token("operator")["token"],
        }
        guard = Guard(POLICY, api.app.state.context.intents.public_keys)
        made = World(api, guard, {who: api.http(t) for who, t in tokens.items()}, moved)
        made.two = (made.clients["second"], made.clients["third"])
        for cidr in CIDRS:
            prefix = client.create_prefix("acme", cidr)
            client.approve_prefix("acme", prefix["id"])
            client.bind("acme", prefix["id"], cidr, "cdn")
            bgp = client.bgp_prefixes("acme", prefix["id"])[0]
            made.ids[cidr] = {"prefix": prefix["id"], "bgp": bgp["id"]}
            made.admit()
        for cidr in CIDRS:
            assert made.state(made.advertise("owner", cidr, True)) == "rolling"
        yield made
        for http in made.clients.values():
            http.close()


def decide(world: World, who: str, id_: str, decision: str, **headers: str) -> Any:
    path = f"/herald/v1/accounts/acme/holds/{id_}/decision"
    found = world.call(who, "POST", path, {"decision": decision, "reason": "looked at"}, **headers)
    world.admit()
    return found


def test_one_operators_withdrawal_is_accepted_and_held_and_its_owner_may_want_it(world: World) -> None:
    held = world.advertise("operator", CIDRS[0], False)
    assert world.state(held) == "held" and world.announced() == 12
    (shown,) = world.call("operator", "GET", "/herald/v1/holds")["result"]
    assert (shown["change_set_id"], shown["unasked"], shown["prefixes"]) == (held, True, 1)
    assert "two operators: herald intents add" in shown["reason"] and "the owner: " in shown["reason"]
    assert [h["change_set_id"] for h in world.call("owner", "GET", "/herald/v1/holds")["result"]] == [held]
    assert world.call("stranger", "GET", "/herald/v1/holds")["result"] == []
    path = f"/herald/v1/accounts/acme/holds/{held}/decision"
    body = {"decision": "deploy", "reason": "please"}
    world.refused("operator", ("POST", path, body), (409, "intent_needed"))
    world.refused("stranger", ("POST", path, body), (403, "not_allowed"))
    decide(world, "owner", held, "deploy")
    assert world.state(held) == "rolling" and world.announced() == 11
    world.refused("owner", ("POST", path, body), (409, ""))
    assert world.told("acme", "hold.deployed")


def test_what_an_operator_asked_for_does_not_ride_along_with_the_owners_change_of_the_same_object(
    world: World,
) -> None:
    held = world.advertise("operator", CIDRS[0], False)
    ids = world.ids[CIDRS[0]]
    path = f"/client/v4/accounts/acme/addressing/prefixes/{ids['prefix']}/bgp/prefixes/{ids['bgp']}"
    answer = world.clients["owner"].patch(path, json={"asn_prepend_count": 1})
    assert answer.status_code == 200, answer.text
    world.admit()
    mine = answer.headers["Herald-Change-Set"]
    assert world.announced() == 12 and (world.state(held), world.state(mine)) == ("held", "queued")
    # The owner who names it has asked for it, and passes what another wants.
    asked = world.advertise("owner", CIDRS[0], False)
    assert world.state(asked) == "rolling" and world.announced() == 11
    decide(world, "operator", held, "drop")
    assert (world.state(held), world.state(mine)) == ("failed", "failed"), "overtaken"


def test_two_operators_deploy_what_one_asked_for_and_their_intent_works_once(world: World) -> None:
    held = world.advertise("operator", CIDRS[0], False)
    other = world.advertise("operator", CIDRS[1], False)
    path = f"/herald/v1/accounts/acme/holds/{held}/decision"
    body = {"decision": "deploy", "reason": "both of us"}
    wrong = world.intent(CIDRS[1])
    world.refused(
        "operator", ("POST", path, body), (409, "intent_does_not_cover"), **{"Herald-Intent": wrong}
    )
    good = world.intent(CIDRS[0])
    decide(world, "operator", held, "deploy", **{"Herald-Intent": good})
    assert world.state(held) == "rolling" and world.announced() == 11
    path = f"/herald/v1/accounts/acme/holds/{other}/decision"
    world.refused("operator", ("POST", path, body), (409, "intent_not_usable"), **{"Herald-Intent": good})
    decide(world, "operator", other, "drop")
    assert world.state(other) == "failed" and world.announced() == 11


def tighten(world: World) -> None:
    """Let an account's owner withdraw two prefixes a minute, and no more."""
    account = (Window(seconds=60, number=2, share=1.0),)
    tight = Policy(guards=POLICY.guards, breaker=Breaker(account=account))
    world.guard = Guard(tight, world.api.app.state.context.intents.public_keys)


def open_by_owner(world: World) -> str:
    """Let the owner withdraw more than his account may in a minute; returns the scope that opened."""
    tighten(world)
    states = [world.state(world.advertise("owner", cidr, False)) for cidr in CIDRS[:6]]
    assert states == ["rolling", "rolling", "held", "held", "held", "held"]
    assert world.announced() == 10
    return "account:acme"


def test_closing_names_the_queue_that_was_looked_at_and_decides_on_each_group(world: World) -> None:
    scope = open_by_owner(world)
    (opened,) = world.breaker()["open"]
    assert (opened["scope"], opened["check"]) == (scope, "budget-account")
    assert opened["detected_after_s"] > 0 and opened["next_reminder_at"] is not None
    (group,) = opened["groups"]
    assert len(group["change_sets"]) == 4 and not group["unasked"]
    assert opened["queue_hash"] in opened["closes"]
    # I7: additive changes by the owner pass meanwhile, and he is told why the rest does not.
    assert world.state(world.advertise("owner", CIDRS[0], True)) == "rolling"
    assert [o["scope"] for o in world.breaker("owner")["open"]] == [scope]
    assert world.breaker("stranger")["open"] == []
    close = {
        "scope": scope,
        "queue_hash": opened["queue_hash"],
        "decisions": {},
        "only": None,
        "reason": "ok",
    }
    path = "/herald/v1/breaker/close"
    world.refused("owner", ("POST", path, close), (403, "not_allowed"))
    world.refused("operator", ("POST", path, close), (400, "groups_undecided"))
    close["decisions"] = {group["group"]: "deploy"}
    world.refused("operator", ("POST", path, {**close, "queue_hash": "0" * 16}), (409, "queue_changed"))
    later = world.advertise("owner", CIDRS[6], False)  # it came after somebody had looked
    world.refused("operator", ("POST", path, close), (409, "queue_changed"))
    assert world.announced() == 11 and world.state(later) == "held"
    close["queue_hash"] = world.breaker()["open"][0]["queue_hash"]
    world.moved.clear()
    assert world.call("operator", "POST", path, close)["open"] == []
    world.admit()
    assert world.moved and world.announced() == 6
    assert world.told("acme", "breaker.closed") == world.told(OPERATORS, "breaker.closed") != []
    closed = world.breaker()["closed"][0]
    assert closed["decisions"] == {group["group"]: "deploy"} and closed["closed_by"].startswith("operator:")
    # Counting begins anew: what was looked at does not open it again.
    assert world.state(world.advertise("owner", CIDRS[7], False)) == "rolling"


@pytest.mark.parametrize(("decision", "state", "left"), [("drop", "failed", 0), ("wait", "held", 4)])
def test_what_is_dropped_is_over_and_what_waits_waits_on(
    world: World, decision: str, state: str, left: int
) -> None:
    scope = open_by_owner(world)
    (opened,) = world.breaker()["open"]
    (group,) = opened["groups"]
    body = {
        "scope": scope, "queue_hash": opened["queue_hash"], "decisions": {group["group"]: decision},
        "only": None, "reason": "ok",
    }  # fmt: skip
    world.call("operator", "POST", "/herald/v1/breaker/close", body)
    world.admit()
    assert {world.state(id_) for id_ in group["change_sets"]} == {state} and world.announced() == 10
    assert len(world.call("operator", "GET", "/herald/v1/holds")["result"]) == left


def test_deploying_what_nobody_asked_for_needs_two_operators_even_when_a_scope_closes(world: World) -> None:
    for cidr in CIDRS[:6]:
        world.advertise("operator", cidr, False)
    tighten(world)
    for cidr in CIDRS[6:10]:
        world.advertise("owner", cidr, False)
    scope = "account:acme"
    opened = next(o for o in world.breaker()["open"] if o["scope"] == scope)
    unasked = next(g for g in opened["groups"] if g["unasked"])
    decisions = {g["group"]: "wait" for g in opened["groups"]} | {unasked["group"]: "deploy"}
    body = {
        "scope": scope, "queue_hash": opened["queue_hash"], "decisions": decisions, "only": None,
        "reason": "ok",
    }  # fmt: skip
    path = "/herald/v1/breaker/close"
    world.refused("operator", ("POST", path, body), (409, "intent_needed"))
    assert world.announced() == 10


def test_reminders_go_out_on_their_deadlines_until_somebody_answers(world: World) -> None:
    scope = open_by_owner(world)
    now = datetime.now(UTC)
    clock = [now]
    watch = BreakerWatch(world.api.store, POLICY, lambda *_: None, lambda _: None, clock=lambda: clock[0])
    watch.look()
    assert world.told("acme", "breaker.reminded") == []
    for nth, after in enumerate(POLICY.breaker.remind_after[:2], 1):
        clock[0] = now + timedelta(seconds=after + 1)
        watch.look()
        watch.look()
        assert (
            len(world.told("acme", "breaker.reminded"))
            == len(world.told(OPERATORS, "breaker.reminded"))
            == nth
        )
    world.call("operator", "POST", "/herald/v1/breaker/answer", {"scope": scope, "reason": "on it"})
    clock[0] = now + timedelta(days=1)
    watch.look()
    assert len(world.told("acme", "breaker.reminded")) == 2
    (opened,) = world.breaker()["open"]
    assert opened["answered_by"].startswith("operator:") and opened["next_reminder_at"] is None


def test_each_deadline_widens_who_is_told(world: World) -> None:
    client = world.api.client()
    prefix = client.create_prefix("globex", "198.19.0.0/24")
    client.approve_prefix("globex", prefix["id"])
    client.bind("globex", prefix["id"], "198.19.0.0/24", "cdn")
    world.advertise("operator", CIDRS[0], False)  # of acme, and held: its accounts are touched
    world.admit()
    now = datetime.now(UTC)
    clock = [now]
    with world.api.store.write() as session:
        signal = Exceeded("fleet", "visibility", "40 of 100 prefixes have gone", now.timestamp())
        scopes.happened(Moment(session, POLICY, now), scopes.load(session), signal)
    watch = BreakerWatch(world.api.store, POLICY, lambda *_: None, lambda _: None, clock=lambda: clock[0])

    def reminded() -> list[int]:
        clock[0] = now + timedelta(seconds=POLICY.breaker.remind_after[len(seen)] + 1)
        watch.look()
        return [len(world.told(who, "breaker.reminded")) for who in (OPERATORS, "acme", "globex", MANAGEMENT)]

    seen: list[list[int]] = []
    for _ in range(3):
        seen.append(reminded())
    assert seen == [[1, 1, 0, 0], [2, 2, 1, 0], [3, 3, 2, 1]]


def test_a_migrations_step_waits_and_is_dropped_when_the_migration_is_cancelled(world: World) -> None:
    now = datetime.now(UTC)
    plan = {
        "cidrs": CIDRS[:2], "expected_count": 2, "reason": "moving",
        "not_before": (now - timedelta(hours=1)).isoformat(),
        "not_after": (now + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    path = "/herald/v1/accounts/acme/migrations"
    made = world.call("owner", "POST", path, plan)
    code = {"confirmation": made["confirmation"]}
    world.call("owner", "POST", f"{path}/{made['id']}/confirm", code)
    world.call("owner", "POST", f"{path}/{made['id']}/withdraw", {"cidrs": CIDRS[:1]})
    world.admit()
    (held,) = world.call("owner", "GET", "/herald/v1/holds")["result"]
    assert "not seen elsewhere" in held["reason"] and world.announced() == 12
    world.call("operator", "POST", f"{path}/{made['id']}/cancel")
    assert world.state(held["change_set_id"]) == "failed"
    assert world.call("owner", "GET", "/herald/v1/holds")["result"] == []


def test_a_freeze_refuses_what_takes_away_and_only_its_owner_lifts_it(world: World) -> None:
    queued = world.advertise("operator", CIDRS[0], False)
    made = world.call(
        "second",
        "POST",
        "/herald/v1/freezes",
        {"scope": "fleet", "kind": "subtractive", "reason": "incident 7"},
    )
    path = f"/herald/v1/accounts/acme/bgp_prefixes/{world.ids[CIDRS[1]]['bgp']}/advertisement"
    body = {"advertised": False, "sites": None}
    for who in ("owner", "operator"):
        said = world.refused(who, ("PUT", path, body), (423, "frozen"))
        assert "incident 7" in said
    world.call("owner", "PUT", path, {"advertised": True, "sites": None})
    # What was accepted before is held by it, too, whoever wants it after all.
    decide(world, "owner", queued, "deploy")
    assert world.state(queued) == "held" and world.announced() == 12
    held = world.call("operator", "GET", "/herald/v1/holds")["result"][0]
    assert held["checks"] == ["freeze"]
    other = world.call(
        "operator",
        "POST",
        "/herald/v1/freezes",
        {"scope": "account:acme", "kind": "subtractive", "reason": "8"},
    )
    world.refused("operator", ("DELETE", f"/herald/v1/freezes/{made['id']}", None), (403, "not_allowed"))
    world.call("second", "DELETE", f"/herald/v1/freezes/{made['id']}")
    world.refused("owner", ("PUT", path, body), (423, "frozen"))  # another's freeze stands
    assert [f["id"] for f in world.call("owner", "GET", "/herald/v1/freezes")["result"]] == [other["id"]]
    assert world.call("stranger", "GET", "/herald/v1/freezes")["result"] == []
    world.call("operator", "DELETE", f"/herald/v1/freezes/{other['id']}")
    world.call("owner", "PUT", path, body)
    world.admit()
    assert world.announced() == 11
    world.refused(
        "owner", ("POST", "/herald/v1/freezes", {"scope": "fleet", "reason": "x"}), (403, "not_allowed")
    )
    world.refused(
        "operator", ("POST", "/herald/v1/freezes", {"scope": "moon", "reason": "x"}), (400, "bad_freeze")
    )


def test_by_the_command_line(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HERALD_URL", f"unix:{world.api.socket}")
    monkeypatch.setenv("HERALD_TOKEN", world.api.token)
    held = world.advertise("operator", CIDRS[8], False)

    def herald(*words: str, status: int = 0) -> str:
        assert run(list(words)) == status, capsys.readouterr()
        captured = capsys.readouterr()
        return str(captured.out + captured.err)

    assert held[:8] in herald("holds", "list")
    assert "intent_needed" in herald("holds", "deploy", held, "--reason", "x", status=1)
    herald("holds", "drop", held, "--reason", "not now")
    scope = open_by_owner(world)
    shown = herald("breaker", "show")
    assert scope in shown and "detected after" in shown
    (opened,) = world.breaker()["open"]
    wrong = ("breaker", "close", scope, "--queue", "0" * 16, "--reason", "x")
    assert "queue_changed" in herald(*wrong, status=1)
    decided = [w for g in opened["groups"] for w in ("--decide", f"{g['group']}=drop")]
    herald(
        "breaker", "close", scope, "--queue", opened["queue_hash"], *decided, "--reason", "run away", "--yes"
    )
    assert world.breaker()["open"] == []
    herald("freeze", "fleet", "--reason", "incident 7")
    assert "incident 7" in herald("freeze")
    (freeze,) = world.call("operator", "GET", "/herald/v1/freezes")["result"]
    herald("unfreeze", freeze["id"])
    assert "breaker.floor" in herald("policy", "show")
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[breaker]\nfloor = 7\n")
    bad.write_text("[breaker]\nflor = 7\n")
    assert '"floor": 7' in herald("policy", "check", str(good), "--json")
    assert "flor" in herald("policy", "check", str(bad), status=1)

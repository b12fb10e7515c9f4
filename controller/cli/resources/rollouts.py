"""``herald rollouts …``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

OVER = frozenset({"done", "failed", "reverted", "aborted"})

LIST = (
    Column("id", lambda r: r["id"][:12]),
    Column("account", "account_id"),
    Column("state", "state"),
    Column("lane", "lane"),
    Column("waves", lambda r: f"{r['passed']} of {len(r['waves'])} passed" if r["gated"] else "", rank=2),
    Column("by", "actor", rank=3),
    Column("since", "created_at", cells.time, rank=1),
    Column("reason", "reason", rank=2, wraps=True),
)
CARD = (
    Column("id", "id"),
    Column("account", "account_id"),
    Column("change-set", "change_set_id"),
    Column("snapshot", "snapshot_id"),
    Column("by", "actor"),
    Column("lane", "lane"),
    Column("state", "state"),
    Column("reason", "reason"),
    Column("control", lambda r: ", ".join(r["control"])),
    Column("bake left", lambda r: None if r["bake_left_s"] is None else f"{r['bake_left_s']:.0f} s"),
    Column("takes back", "reverts"),
    Column("taken back by", lambda r: ", ".join(r["reverted_by"])),
)
SITES = (
    Column("wave", "wave"),
    Column("site", "site"),
    Column("state", "state"),
    Column("reason", "reason", wraps=True),
)
GATES = (
    Column("wave", "wave"),
    Column("asked", lambda g: "before" if g["baseline"] else "gate"),
    Column("answer", "outcome"),
    Column("reason", "reason", wraps=True),
)

Which = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id, or how that begins.")]

app = Commands("rollouts", "How changes go over the sites: list, show, watch, pause, resume, abort.")


@app.reads("list", account=False)
def list_(
    call: Call,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="At most so many.")
    ] = 50,
) -> Rows:
    """List roll-outs, newest first.

    \b
    Examples:
      herald rollouts list --limit 10
    """
    return Rows(call.client.all(herald("rollouts"), {"limit": str(limit)}), LIST, "Nothing was rolled out.")


@app.reads("show", account=False)
def show(call: Call, rollout: Which) -> Card:
    """Show a roll-out: its waves, its sites, what its gates answered, what is left of a bake.

    \b
    Examples:
      herald rollouts show 6f6340f9
    """
    return _card(call.client.one(herald("rollouts", rollout)))


@app.reads("watch", account=False)
def watch(
    call: Call,
    rollout: Which,
    *,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to ask.")
    ] = 0.5,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.0, help="End after so long.")
    ] = None,
) -> None:
    """Follow a roll-out until it is over: a line for each thing that happens to it.

    \b
    Examples:
      herald rollouts watch 6f6340f9
    """
    ends = None if seconds is None else time.monotonic() + seconds
    told: Object = {}
    while True:
        found = call.client.one(herald("rollouts", rollout))
        for event in happened(told, found):
            _print(found, event, as_json=call.shared.as_json)
        told = found
        left = every if ends is None else min(every, ends - time.monotonic())
        if found["state"] in OVER or left <= 0:
            return
        time.sleep(left)


def happened(before: Object, after: Object) -> list[Object]:
    """Return what lies between two answers, oldest first: gates, sites, the state of the whole."""
    found: list[Object] = []
    old_gates = {(g["wave"], g["baseline"]): g for g in before.get("gates", [])}
    for gate in after["gates"]:
        if old_gates.get((gate["wave"], gate["baseline"])) != gate:
            what = "before" if gate["baseline"] else "gate of"
            said = f"{what} wave {gate['wave']}: {gate['outcome']}"
            found.append({"what": said, "reason": gate["reason"]})
    for site, now in sorted(after["sites"].items()):
        old = before.get("sites", {}).get(site)
        if old != now and (old is not None or now["state"] != "pending"):
            found.append({"what": f"{site}: {now['state']}", "reason": now["reason"]})
    if any(before.get(k) != after[k] for k in ("state", "wave", "reason")):
        where = f" (wave {after['wave']} of {len(after['waves'])})" if after["gated"] else ""
        found.append({"what": f"{after['state']}{where}", "reason": after["reason"]})
    return found


@app.writes("pause", account=False)
def pause(call: Call, rollout: Which) -> Done:
    """Hand over nothing more of a roll-out; what is left of a bake stands still (operators).

    \b
    Examples:
      herald rollouts pause 6f6340f9 --reason "The canary's graphs look odd"
    """
    return _wish(call, rollout, "pause", {})


@app.writes("resume", account=False)
def resume(
    call: Call,
    rollout: Which,
    *,
    vouch: Annotated[
        bool, typer.Option("--vouch", help="You have looked, and stand for the gate that cannot answer.")
    ] = False,
) -> Done:
    """Let a roll-out go on: its gate is asked again, or you stand for it (operators).

    \b
    Examples:
      herald rollouts resume 6f6340f9 --reason "They were old graphs"
      herald rollouts resume 6f6340f9 --vouch --reason "Seen from two looking glasses"
    """
    return _wish(call, rollout, "resume", {"vouch": vouch})


@app.writes("abort", account=False)
def abort(call: Call, rollout: Which) -> Done:
    """Take a roll-out back wherever it was handed over (operators).

    \b
    Examples:
      herald rollouts abort 6f6340f9 --reason "The wrong account"
    """
    return _wish(call, rollout, "abort", {})


def _wish(call: Call, rollout: str, what: str, more: Object) -> Done:
    body = {"reason": call.why(), **more}
    made = call.client.write("POST", herald("rollouts", rollout, what), body)
    return Done(made, f"roll-out {made.result['id'][:12]} is {made.result['state']}", _card(made.result))


def _card(found: Object) -> Card:
    wave_of = {site: n for n, wave in enumerate(found["waves"]) for site in wave}
    sites = [{"wave": wave_of[s], "site": s, **at} for s, at in found["sites"].items()]
    sites.sort(key=lambda s: (s["wave"], s["site"]))
    return Card(
        found, CARD, (Rows(sites, SITES, "It goes to no site."), Rows(found["gates"], GATES, "No gate."))
    )


def _print(rollout: Object, event: Object, *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415 (quick `herald --help`)

    if as_json:
        line = {"at": rollout["modified_at"], "rollout_id": rollout["id"], **event}
        typer.echo(msgspec.json.encode(line))
        return
    why = f": {event['reason']}" if event["reason"] else ""
    typer.echo(cells.plain(f"{cells.time(rollout['modified_at'])}  {event['what']}{why}"))

"""``herald rollback``: back to a snapshot; follows what comes back until the sites have it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from controller.cli import completion
from controller.cli.answers import Done, Object
from controller.cli.call import Call
from controller.cli.errors import CliError, NotReachedError
from controller.cli.frame import Commands, Given
from controller.cli.options import Deadline, Until, Wait
from controller.cli.resources.snapshots import Name
from controller.cli.routes import herald

POLL_S = 0.1
JUDGED_S = 3.0
"""Seconds to wait until the subtractive half has been looked at, so that it can be said what is held."""
UNDER_WAY = frozenset({"queued", "rolling"})
WAITING: Given = {"wait": (Wait, Until.SENT), "deadline": (Deadline, 60.0)}

Accounts = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="This account only; may be given again. All that differ if left out.",
        autocompletion=completion.accounts,
    ),
]
Expected = Annotated[
    int | None,
    typer.Option("--expect", metavar="N", min=0, help="How many accounts differ: if not, nothing is done."),
]
BasedOn = Annotated[
    str | None,
    typer.Option(
        "--based-on", metavar="SNAPSHOT", help="Refuse if an account of the plan has changed since this one."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    Commands("", "", app).writes("rollback", account=False, fields=False, other=WAITING)(rollback)


def rollback(
    call: Call,
    snapshot: Name,
    account: Accounts = None,
    expect: Expected = None,
    based_on: BasedOn = None,
) -> Done | None:
    """Go back to a snapshot: one account, several, or all. What comes back does so at once (operators).

    Bindings come before routes. What the snapshot did not have is held and assessed like any other change,
    and what was revoked since is left out. See herald pins for what is then to be decided.

    \b
    Examples:
      herald rollback @2026-02-20T17:56Z --dry-run
      herald rollback HEAD~1 --account acme --reason "The clean-up ran away"
    """
    body = {
        "snapshot": snapshot,
        "accounts": account or None,
        "reason": call.shared.reason or f"herald rollback {snapshot}",
        "expected_accounts": expect,
        "based_on": based_on,
    }
    made = call.client.write("POST", herald("rollbacks"), body)
    found = made.result
    if call.shared.dry_run:
        if call.shared.as_json:
            return Done(made, "")
        typer.echo("Dry run: nothing was changed.")
        _show(found)
        return None
    if not call.shared.as_json:
        _show(found)
    progress = _follow(call, found)
    if call.shared.as_json:
        from controller.cli.output import print_json  # noqa: PLC0415

        print_json({**call.client.one(herald("rollbacks", str(found["id"]))), "progress": progress})
    else:
        _say_what_is_left(found, progress)
    _judge(call, found, progress)
    return None


def _show(found: Object) -> None:
    from controller.cli.output import print_answer  # noqa: PLC0415
    from controller.cli.resources.rollbacks import parts  # noqa: PLC0415

    for number, part in enumerate(parts(found)):
        if number:
            typer.echo()
        print_answer(part)


def _follow(call: Call, found: Object) -> Object:
    """Return how far it is once what comes back is at the sites, or at the deadline; tell each step."""
    from controller.cli.output import progress  # noqa: PLC0415

    path = herald("rollbacks", str(found["id"]), "progress")
    told, looked = "", time.monotonic() + JUDGED_S
    while True:
        now = call.client.one(path)
        line = _line(now)
        if line != told:
            told = line
            progress(line)
        over = not any(now["additive"].get(state) for state in UNDER_WAY)
        over = over and (not now["subtractive"].get("queued") or time.monotonic() >= looked)
        if over or call.shared.wait == Until.ACCEPTED or time.monotonic() >= call.ends:
            return now
        time.sleep(POLL_S)


def _line(now: Object) -> str:
    states = ", ".join(f"{count} {state}" for state, count in now["additive"].items()) or "nothing to restore"
    sites = ", ".join(f"{site} {at['done']}/{at['of']}" for site, at in now["sites"].items())
    return f"additive half: {states}" + (f"; at {sites}" if sites else "")


def _say_what_is_left(found: Object, now: Object) -> None:
    from controller.cli.cells import plain  # noqa: PLC0415

    accounts: list[Any] = found["result"]
    back = sum(len(a["back"]) for a in accounts)
    if back:
        typer.echo(f"{back} objects of {len(accounts)} accounts are to be back: {_line(now)}")
    rest = sum(len(a["rest"]) for a in accounts)
    if rest:
        states = ", ".join(f"{count} {state}" for state, count in now["subtractive"].items())
        typer.echo(f"subtractive half: {rest} changes, {states}; what is held waits for a decision")
    if found["pinned"]:
        typer.echo(
            f"{found['pinned']} accounts are pinned until what they asked for since is decided: herald pins"
        )
    for reason in sorted({r for at in now["sites"].values() for r in at["reasons"]}):
        typer.echo(plain(reason))


def _judge(call: Call, found: Object, now: Object) -> None:
    """Raise when what comes back failed, is held, or is not there at the deadline."""
    bad = {state: now["additive"][state] for state in ("failed", "held") if now["additive"].get(state)}
    if bad:
        what = ", ".join(f"{count} are {state}" for state, count in bad.items())
        raise CliError(f"of the additive half {what}: herald rollbacks show {found['id']}")
    if call.shared.wait != Until.ACCEPTED and any(now["additive"].get(state) for state in UNDER_WAY):
        raise NotReachedError(f"rollback {found['id']} goes on, but at the deadline {_line(now)}")

"""``herald tasks …``: what Herald does by itself; look at it, start it, approve it, stop it (operators)."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows, Written
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.options import Deadline
from controller.cli.routes import herald

UNDER_WAY = frozenset({"queued", "planning", "approved", "confirming", "carrying_out"})
GOOD = frozenset({"done", "planned", "waiting"})
POLL_S = 0.1
SHORTEST_HASH = 12

COLUMNS = (
    Column("task", "name"),
    Column("schedule", "schedule", rank=2),
    Column("due", "next_at", cells.time, rank=1),
    Column("stopped by", "stopped.by"),
    Column("last run", "last_run.state"),
    Column("ended", "last_run.ended_at", cells.time, rank=3),
    Column("for", "purpose", rank=4, wraps=True),
)
CARD = (
    Column("task", "name"),
    Column("for", "purpose", wraps=True),
    Column("schedule", "schedule"),
    Column("due", "next_at", cells.zoned),
    Column("stopped", "stopped.at", cells.zoned),
    Column("stopped by", "stopped.by"),
    Column("because", "stopped.reason", wraps=True),
    Column("last run", "last_run.id"),
    Column("it is", "last_run.state"),
)
FORESEEN = (
    Column("may", "resource"),
    Column("verbs", "verbs"),
    Column("objects in a run", "at_most"),
    Column("only with", lambda row: ", ".join(f"{k}={cells.text(v)}" for k, v in row["selector"].items())),
)
RUNS = (
    Column("run", "id"),
    Column("state", "state"),
    Column("begun", "created_at", cells.time, rank=1),
    Column("by", "started_by", rank=2),
    Column("dry run", "dry_run", rank=4),
    Column("objects", "objects", rank=1),
    Column("reason", "reason", rank=3, wraps=True),
)
RUN = (
    Column("run", "id"),
    Column("task", "task"),
    Column("state", "state"),
    Column("reason", "reason", wraps=True),
    Column("dry run", "dry_run"),
    Column("begun by", "started_by"),
    Column("because", "why", wraps=True),
    Column("begun", "created_at", cells.zoned),
    Column("ended", "ended_at", cells.zoned),
    Column("plan", "plan_hash"),
    Column("objects", "objects"),
    Column("steps done", lambda row: f"{row['done']} of {row['steps']}"),
    Column("approved by", "approved_by"),
)
OBJECTS = (
    Column("step", "step"),
    Column("account", "account_id"),
    Column("prefix", "cidr"),
    Column("what becomes of it", "says", wraps=True),
)
NOTES = (Column("noted", "says", wraps=True),)
CALLS = (
    Column("call", "number"),
    Column("method", "method"),
    Column("target", "target", wraps=True),
    Column("dry run", "dry_run", rank=2),
    Column("status", "status"),
    Column("outcome", "outcome", rank=1, wraps=True),
)
NAMES = completion.ids("/herald/v1/tasks", "name")
Name = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="Its name.", autocompletion=completion.ids("/herald/v1/tasks", "name")
    ),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Some = Annotated[
    str | None, typer.Argument(metavar="TASK", help="Its name; or give --all.", autocompletion=NAMES)
]
All = Annotated[bool, typer.Option("--all", help="All tasks, those of later releases among them.")]

app = Commands("tasks", "What Herald does by itself: list, show, run, runs, approve, stop, start.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List the tasks: when each is due, whether it is stopped, how its last run ended (operators).

    \b
    Examples:
      herald tasks list
    """
    return Rows(call.client.all(herald("tasks")), COLUMNS, "There is no task.")


@app.reads("show", account=False)
def show(
    call: Call,
    which: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task's name, or a run's id.")],
) -> Card:
    """Show a task with what it may do, or a run with its plan and each call that it tried (operators).

    \b
    Examples:
      herald tasks show clean-up
      herald tasks show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    if any(row["name"] == which for row in call.client.all(herald("tasks"))):
        found = call.client.one(herald("tasks", which))
        return Card(found, CARD, (Rows(found["foreseen"], FORESEEN, "It may do nothing."),))
    return _run_card(call.client.one(herald("task_runs", which)))


@app.reads("runs", account=False)
def runs(call: Call, task: Name) -> Rows:
    """List the runs of a task, newest first (operators).

    \b
    Examples:
      herald tasks runs clean-up
    """
    return Rows(call.client.all(herald("tasks", task, "runs")), RUNS, "It has not run yet.")


@app.writes("run", account=False, other={"deadline": (Deadline, 60.0)})
def run(call: Call, task: Name) -> Done:
    """Run a task now, and wait for it; with --dry-run it plans, and nothing is changed (operators).

    \b
    Examples:
      herald tasks run clean-up --dry-run
      herald tasks run clean-up --reason "Ticket 9"
    """
    from controller.cli.http import Terms  # noqa: PLC0415 (slow to import)

    client, dry_run = call.client, call.shared.dry_run
    client.terms = Terms(reason=call.shared.reason)  # the run itself is the dry one, not its beginning
    made = client.write("POST", herald("tasks", task, "runs"), {"dry_run": dry_run})
    id_ = str(made.result["id"])
    found = client.one(herald("task_runs", id_))
    while found["state"] in UNDER_WAY and time.monotonic() < call.ends:
        time.sleep(POLL_S)
        found = client.one(herald("task_runs", id_))
    if found["state"] not in GOOD | UNDER_WAY:
        raise CliError(f"run {id_} of {task}: {found['state']}: {found['reason']}")
    return Done(Written(found), f"run {id_} of {task}: {_says(found)}", _run_card(found))


@app.writes("approve", account=False)
def approve(
    call: Call,
    run_id: RunId,
    plan_hash: Annotated[
        str, typer.Argument(metavar="PLAN", help="The hash of its plan, as show gives it; 12 digits or more.")
    ],
) -> Done:
    """Approve a run that another operator started, by the hash of the plan that you looked at.

    \b
    Examples:
      herald tasks approve 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f 3a7bd3e2360a
    """
    whole = plan_hash
    if SHORTEST_HASH <= len(plan_hash) < 64:
        present = call.client.one(herald("task_runs", run_id)).get("plan_hash")
        whole = present if isinstance(present, str) and present.startswith(plan_hash) else plan_hash
    if len(whole) != 64:
        raise CliError(
            f"{plan_hash} is not the plan that run {run_id} waits with: herald tasks show {run_id}"
        )
    made = call.client.write("POST", f"{herald('task_runs', run_id)}/approve", {"plan_hash": whole})
    return Done(made, f"run {run_id} is approved; should its plan have changed by then, that is void")


@app.writes("stop", account=False)
def stop(call: Call, task: Some = None, *, every: All = False) -> Done:
    """Stop a task at once: a run that is under way makes no further call, and none begins (operators).

    \b
    Examples:
      herald tasks stop clean-up --reason "It deletes too much"
      herald tasks stop --all
    """
    name = _which(task, every)
    made = call.client.write("POST", f"{herald('tasks', name)}/stop")
    return Done(
        made, f"{'all tasks are' if every else f'{name} is'} stopped: herald tasks start lets it go on"
    )


@app.writes("start", account=False)
def start(call: Call, task: Some = None, *, every: All = False) -> Done:
    """Let a task run again when it is due next; what it missed is not made up for (operators).

    \b
    Examples:
      herald tasks start clean-up
      herald tasks start --all
    """
    name = _which(task, every)
    made = call.client.write("POST", f"{herald('tasks', name)}/start")
    says = "all tasks may run again but those that were stopped by name" if every else f"{name} may run again"
    return Done(made, says)


def _which(task: str | None, every: bool) -> str:
    if (task is None) == (not every):
        raise typer.BadParameter("give one of them", param_hint="TASK or --all")
    return task or "all"


def _says(found: Object) -> str:
    return f"{found['state']}" + (f" ({found['reason']})" if found["reason"] else "")


def _run_card(found: Object) -> Card:
    plan: Any = found.get("plan") or {"steps": [], "left_out": [], "notes": []}
    told = [("would be done", t) for t in plan["steps"]] + [("is left out", t) for t in plan["left_out"]]
    objects = [
        {"step": t["step"]["path"], **o, "says": f"{says}: {t['refusal']}" if t["refusal"] else says}
        for says, t in told
        for o in t["step"]["objects"]
    ]
    notes = [{"says": text} for text in plan["notes"]]
    parts = [Rows(rows, columns) for rows, columns in ((objects, OBJECTS), (notes, NOTES)) if rows]
    return Card(found, RUN, (*parts, Rows(found["calls"], CALLS, "It has tried nothing.")))

"""``herald webhooks …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("url", "url", wraps=True),
    Column("events", lambda w: ", ".join(w["events"]), rank=1, wraps=True),
    Column("enabled", "enabled"),
    Column("waiting", "pending", rank=2),
    Column("account", "account_id", rank=1),
    Column("description", "description", rank=4, wraps=True),
    Column("why disabled", "disabled_reason", rank=3, wraps=True),
    Column("id", "id"),
)
CARD = (
    Column("url", "url"),
    *COLUMNS[1:5],
    Column("description", "description"),
    Column("disabled", "disabled_at", cells.zoned),
    Column("why disabled", "disabled_reason"),
    Column("made", "created_at", cells.zoned),
    Column("changed", "modified_at", cells.zoned),
    Column("id", "id"),
)
DELIVERIES = (
    Column("made", "created_at", cells.time),
    Column("event", "type"),
    Column("state", "state"),
    Column("attempts", "attempts", rank=2),
    Column("answer", "last_status", rank=1),
    Column("error", "last_error", rank=3, wraps=True),
    Column("next attempt", "next_attempt_at", cells.time, rank=4),
    Column("id", "id", rank=1),
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id (herald webhooks list).")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="Such as bgp_prefix.* or change_set.held; may be repeated."),
]
Text = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for, in words.")]

app = Commands("webhooks", "Who is told what happens: list, show, add, change, delete, deliveries, …")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List webhooks, without the secrets.

    \b
    Examples:
      herald webhooks list --account acme
    """
    found = [w for a in call.accounts() for w in call.client.all(herald("accounts", a, "webhooks"))]
    return Rows(found, COLUMNS, "There is no webhook.")


@app.reads("show")
def show(call: Call, id_: Id) -> Card:
    """Show one webhook.

    \b
    Examples:
      herald webhooks show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --account acme
    """
    return Card(call.client.one(_path(call, id_)), CARD)


@app.writes("add")
def add(
    call: Call,
    target: Annotated[str, typer.Argument(metavar="URL", help="Where notifications are sent (https).")],
    *,
    events: Events = None,
    description: Text = None,
) -> Done:
    """Add a webhook; what it signs with is shown this once. Everything is told if no event is named.

    \b
    Examples:
      herald webhooks add https://hooks.example.net/herald --event "bgp_prefix.*" --account acme
    """
    body: Object = {"url": target, "events": events or ["*"], "description": description or ""}
    made = call.client.write("POST", herald("accounts", call.account(), "webhooks"), body)
    shown = Card(made.result, (Column("secret", "secret"), *CARD))
    return Done(made, "Keep the secret now: it is not shown again.", shown)


@app.writes("change")
def change(
    call: Call,
    id_: Id,
    *,
    target: Annotated[str | None, typer.Option("--to", metavar="URL", help="Send there instead.")] = None,
    events: Events = None,
    description: Text = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether anything is sent.")
    ] = None,
) -> Done:
    """Change a webhook, or enable one that was given up.

    \b
    Examples:
      herald webhooks change 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --enable --account acme
    """
    given: Object = {"url": target, "events": events, "description": description, "enabled": enabled}
    made = call.client.write("PATCH", _path(call, id_), {k: v for k, v in given.items() if v is not None})
    return Done(made, f"webhook {id_} is changed")


@app.writes("delete")
def delete(call: Call, id_: Id) -> Done:
    """Remove a webhook; what waits for it is not sent.

    \b
    Examples:
      herald webhooks delete 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --account acme
    """
    return Done(call.client.write("DELETE", _path(call, id_)), f"webhook {id_} is removed")


@app.writes("rotate")
def rotate(
    call: Call,
    id_: Id,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", metavar="SECONDS", min=0, help="How long the old secret signs beside it."),
    ] = None,
) -> Done:
    """Give a webhook a new secret, which is shown this once.

    \b
    Examples:
      herald webhooks rotate 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --overlap 3600 --account acme
    """
    body: Object = {} if overlap is None else {"overlap_s": overlap}
    made = call.client.write("POST", _path(call, id_, "rotate"), body)
    shown = Card(made.result, (Column("secret", "secret"), *CARD))
    return Done(made, "Keep the secret now: it is not shown again.", shown)


@app.writes("test")
def test(call: Call, id_: Id) -> Done:
    """Send a webhook a notification that says only that it is a test.

    \b
    Examples:
      herald webhooks test 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --account acme
    """
    made = call.client.write("POST", _path(call, id_, "test"))
    return Done(made, f"a test is on its way as {made.result.get('id')}: herald webhooks deliveries {id_}")


@app.reads("deliveries")
def deliveries(call: Call, id_: Id) -> Rows:
    """List what was sent, is to be sent, or could not be sent, and why.

    \b
    Examples:
      herald webhooks deliveries 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --account acme
    """
    return Rows(call.client.all(_path(call, id_, "deliveries")), DELIVERIES, "Nothing was sent yet.")


@app.writes("redeliver")
def redeliver(
    call: Call,
    id_: Id,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")],
) -> Done:
    """Send something once more, with the same webhook-id.

    \b
    Examples:
      herald webhooks redeliver 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f msg_1a2b --account acme
    """
    made = call.client.write("POST", _path(call, id_, "deliveries", delivery, "redeliver"))
    return Done(made, f"{delivery} is sent once more")


def _path(call: Call, *parts: str) -> str:
    return herald("accounts", call.account(), "webhooks", *parts)

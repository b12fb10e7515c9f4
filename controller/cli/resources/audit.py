"""``herald audit …``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from controller.cli import cells, token_words
from controller.cli.answers import Card, Column, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("seq", "seq"),
    Column("at", "at", cells.time),
    Column("actor", "actor", rank=1),
    Column("action", "action"),
    Column("kind", "object_kind"),
    Column("object", "object_id", rank=2),
    Column("account", "account_id", rank=1),
    Column("from", "origin", rank=4),
    Column("reason", "reason", rank=3, wraps=True),
)
VERDICT = (
    Column("intact", "intact"),
    Column("events", "events"),
    Column("head", lambda v: None if v["head"] is None else f"{v['head']['seq']}:{v['head']['hash']}"),
)
PAGE = 1000

ObjectId = Annotated[str | None, typer.Option("--object", metavar="ID", help="Only of this object.")]
Actor = Annotated[
    str | None, typer.Option("--actor", metavar="ROLE:ID", help="Only by this one, such as operator:0f9c….")
]
Action = Annotated[str | None, typer.Option("--action", metavar="VERB", help="Only these, such as approve.")]
After = Annotated[
    int | None, typer.Option("--after", metavar="SEQ", min=0, help="Those that come after this one.")
]

app = Commands("audit", "What was changed, by whom, when and why: list, verify, watch.")


def _filters(call: Call, object_id: str | None, actor: str | None, action: str | None) -> dict[str, str]:
    given = {
        "account_id": call.shared.account,
        "object_id": object_id,
        "actor": actor,
        "action": action,
    }
    return {name: value for name, value in given.items() if value is not None}


@app.reads("list")
def list_(
    call: Call,
    *,
    object_id: ObjectId = None,
    actor: Actor = None,
    action: Action = None,
    after: After = None,
    limit: Annotated[
        int, typer.Option("--last", "--limit", metavar="N", min=1, help="At most so many.")
    ] = 50,
) -> Rows:
    """List what was changed: the newest, or with --after what followed; the newest stand last.

    \b
    Examples:
      herald audit list --account acme --action approve
      herald audit list --after 1200 --limit 1000 --json
    """
    query = _filters(call, object_id, actor, action)
    query |= {"newest": "true"} if after is None else {"after": str(after)}
    found = _events(call, query, limit)
    return Rows(found[::-1] if after is None else found, COLUMNS, "Nothing was changed.")


@app.reads("verify", account=False)
def verify(
    call: Call,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="SEQ:HASH", help="As noted earlier: finds what was cut off."),
    ] = None,
) -> Card | None:
    """Go through the whole chain of hashes, and fail where it breaks (operators).

    \b
    Examples:
      herald audit verify
    """
    query = None if head is None else dict(zip(("seq", "hash"), token_words.head(head), strict=True))
    verdict = call.client.one(herald("audit", "verify"), query)
    if verdict["intact"]:
        return Card(verdict, VERDICT)
    if call.shared.as_json:
        from controller.cli.output import print_json  # noqa: PLC0415 (quick `herald --help`)

        print_json(verdict)
    raise CliError(f"the audit is broken at event {verdict['broken_at']}: {verdict['reason']}")


@app.reads("watch")
def watch(
    call: Call,
    *,
    object_id: ObjectId = None,
    actor: Actor = None,
    action: Action = None,
    after: After = None,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often to ask.")
    ] = 2.0,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.0, help="End after so long.")
    ] = None,
) -> None:
    """Print each change as it is made, a line each, until interrupted; those from now on, or --after one.

    \b
    Examples:
      herald audit watch --account acme
    """
    ends = None if seconds is None else time.monotonic() + seconds
    query = _filters(call, object_id, actor, action)
    last = _newest(call) if after is None else after
    while True:
        while found := _events(call, {**query, "after": str(last)}, PAGE):
            _print(found, as_json=call.shared.as_json)
            last = int(found[-1]["seq"])
        left = every if ends is None else min(every, ends - time.monotonic())
        if left <= 0:
            return
        time.sleep(left)


def _events(call: Call, query: dict[str, str], most: int) -> list[Object]:
    """Return at most ``most`` events, page by page."""
    found: list[Object] = []
    while len(found) < most:
        page = call.client.one(herald("audit"), {**query, "limit": str(min(most - len(found), PAGE))})
        found += page["result"]
        if page["next"] is None:
            break
        query = {**query, "after": str(page["next"])}
    return found


def _newest(call: Call) -> int:
    found = _events(call, {"newest": "true"}, 1)
    return int(found[0]["seq"]) if found else 0


def _print(events: list[Object], *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415

    for event in events:
        if as_json:
            typer.echo(msgspec.json.encode(event))
            continue
        account = f" of {event['account_id']}" if event["account_id"] else ""
        what = f"{event['action']} {event['object_kind']} {event['object_id']}{account}: {event['reason']}"
        typer.echo(cells.plain(f"{cells.time(event['at'])}  {event['seq']}  {event['actor']}  {what}"))

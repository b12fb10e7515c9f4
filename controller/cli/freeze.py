"""``herald freeze`` and ``herald unfreeze``: nothing is taken away until who froze it lifts that."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("id", "id"),
    Column("scope", "scope"),
    Column("kind", "kind", rank=1),
    Column("by", "owner", rank=2),
    Column("since", "created_at", cells.time, rank=3),
    Column("ends", "ends_at", cells.time, rank=3),
    Column("reason", "reason", wraps=True),
)


class Kind(StrEnum):
    """What a freeze keeps from happening."""

    SUBTRACTIVE = "subtractive"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    top = Commands("", "", app)
    top.writes("freeze", account=False)(freeze)
    top.writes("unfreeze", account=False)(unfreeze)


def freeze(
    call: Call,
    scope: Annotated[
        str | None,
        typer.Argument(metavar="[SCOPE]", help="fleet, account:ID, site:NAME or actor:ROLE:ID."),
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--kind", help="all: also what only adds, but for owners.")
    ] = Kind.SUBTRACTIVE,
    ends_at: Annotated[
        str | None,
        typer.Option("--ends-at", metavar="TIME", help="RFC 3339; until lifted if left out."),
    ] = None,
) -> Done | Rows:
    """Freeze a scope: nothing is taken away there until you lift it; say the --reason. Lists freezes.

    \b
    Examples:
      herald freeze
      herald freeze fleet --reason "incident 7"
      herald freeze account:acme --ends-at 2027-01-31T12:00:00Z --reason "asked us to"
    """
    if scope is None:
        return Rows(call.client.all(herald("freezes")), COLUMNS, "Nothing is frozen.")
    body = {"scope": scope, "kind": kind, "reason": call.why(), "ends_at": ends_at}
    made = call.client.write("POST", herald("freezes"), body)
    return Done(made, f"{scope} is frozen: herald unfreeze {made.result.get('id')}")


def unfreeze(
    call: Call, id_: Annotated[str, typer.Argument(metavar="ID", help="The freeze's id (herald freeze).")]
) -> Done:
    """Lift a freeze that you made; another's of the same scope stays.

    \b
    Examples:
      herald unfreeze 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    made = call.client.write("DELETE", herald("freezes", id_))
    return Done(made, f"the freeze of {made.result.get('scope')} is lifted")

"""``herald policy …``: what the controller's guards allow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.answers import Card, Column, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

ROWS = (Column("key", "key"), Column("value", "value", wraps=True))

app = Commands("policy", "The policy of the controller's guards: show, check.")


def _card(policy: Object) -> Card:
    rows = [
        {"key": f"{section}.{key}", "value": _said(value)}
        for section, values in policy.items()
        for key, value in values.items()
    ]
    return Card({"policy": policy}, (), (Rows(rows, ROWS),))


def _said(value: object) -> str:
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return "; ".join(f"{w['number']} or {w['share']:.1%} in {w['seconds']} s" for w in value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


@app.reads("show", account=False)
def show(call: Call) -> Card:
    """Show the policy that the controller goes by (operators).

    \b
    Examples:
      herald policy show
      herald policy show --json
    """
    return _card(call.client.one(herald("policy"))["policy"])


@app.reads("check", account=False)
def check(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy (TOML).")],
) -> Card:
    """Check a policy file, and show what it comes to; asks no controller.

    \b
    Examples:
      herald policy check policy.toml
    """
    import msgspec  # noqa: PLC0415 (quick `herald --help`)

    from controller.guard.policy_file import read_policy  # noqa: PLC0415

    return _card(msgspec.to_builtins(read_policy(file)))

"""``herald revocations …``: the ledger (SAFETY.md, 8)."""

from __future__ import annotations

from controller.cli import cells
from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.options import Cidr
from controller.cli.routes import herald

COLUMNS = (
    Column("seq", "seq", rank=2),
    Column("at", "at", cells.time),
    Column("kind", "kind", rank=1),
    Column("account", "account_id"),
    Column("prefix", "cidr"),
    Column("reason", "reason", rank=3, wraps=True),
    Column("actor", "actor", rank=4),
)

app = Commands("revocations", "The ledger of what no rollback brings back: list, add.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List the ledger, oldest first (operators).

    \b
    Examples:
      herald revocations list
    """
    return Rows(call.client.all(herald("revocations")), COLUMNS, "Nothing was revoked.")


@app.writes("add", bulk=True)
def add(call: Call, cidr: Cidr) -> Done:
    """Enter a legal order against an account's prefix, for good; needs --account and --reason (operators).

    \b
    Examples:
      herald revocations add 192.0.2.0/24 --account acme --reason "Court order 7" --dry-run
    """
    reason = call.why()
    account = call.shared.account
    if account is None:
        raise CliError("against whom? give --account")
    call.confirm(f"Revoke {cidr} of account {account} for good? No rollback brings it back.")
    body = {"kind": "legal_order", "account_id": account, "cidr": cidr, "reason": reason}
    return Done(call.client.write("POST", herald("revocations"), body), f"{cidr} of {account} is revoked")

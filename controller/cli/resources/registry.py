"""``herald registry …``: what an account may announce at all (SAFETY.md, 3)."""

from __future__ import annotations

from controller.cli.answers import Card, Column, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

ENTRY = (Column("account", "account_id"), Column("serial", "serial"))
REGISTERED = (
    Column("prefix", "cidr"),
    Column("down to", lambda row: f"/{row['longest']}"),
    Column("origins", lambda row: ", ".join("own AS" if o is None else f"AS {o}" for o in row["origins"])),
)
REVOKED = (Column("revoked", "cidr"), Column("why", "why", wraps=True))
KEYS = (Column("id", "id"), Column("public key", "public_key"))

app = Commands("registry", "What an account may announce at all, as sites check it: show, keys.")


@app.reads("show")
def show(call: Call) -> Card:
    """Show an account's registered prefixes, and what of them was revoked.

    \b
    Examples:
      herald registry show --account acme
    """
    body = call.client.one(herald("accounts", call.account(), "registry"))
    lists = [Rows(body["registered"], REGISTERED, "Nothing is registered.")]
    if body["revoked"]:
        lists.append(Rows(body["revoked"], REVOKED))
    return Card(body, ENTRY, tuple(lists))


@app.reads("keys", account=False)
def keys(call: Call) -> Rows:
    """Show the public key that goes into agents' files of keys, as "registry".

    \b
    Examples:
      herald registry keys --json
    """
    return Rows(call.client.all(herald("registry", "keys")), KEYS, "There is no key.")

"""``herald loa …``: letters of authorization."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.errors import CliError
from controller.cli.frame import Commands
from controller.cli.routes import addressing, herald

COLUMNS = (
    Column("id", "id"),
    Column("account", "account_id", rank=2),
    Column("file", "filename", rank=1, wraps=True),
    Column("bytes", "size_bytes", rank=4),
    Column("verified", "verified"),
    Column("withdrawn", "withdrawn_at", cells.time, rank=1),
    Column("uploaded", "created", cells.time, rank=3),
)
CARD = (
    *COLUMNS[:5],
    Column("verified at", "verified_at", cells.zoned),
    Column("withdrawn", "withdrawn_at", cells.zoned),
    Column("uploaded", "created", cells.zoned),
    Column("prefixes", "prefix_ids"),
    Column("SHA-256", "sha256"),
    Column("etag", "etag"),
)
Which = Annotated[
    str,
    typer.Argument(metavar="ID", help="An id (herald loa list).", autocompletion=completion.letters),
]

app = Commands("loa", "Letters of authorization.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List letters of authorization, withdrawn ones among them.

    \b
    Examples:
      herald loa list --account acme
    """
    rows = [row for account in call.accounts() for row in _all(call, account)]
    return Rows(rows, COLUMNS, "There is no letter: herald loa add FILE")


@app.reads("show")
def show(call: Call, id_: Which) -> Card:
    """Show what is known of a letter, and which prefixes stand on it.

    \b
    Examples:
      herald loa show 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f
    """
    account, found = _find(call, id_)
    body, etag = call.client.tagged(_path(account, found))
    return Card({**body, "etag": etag}, CARD)


@app.writes("add")
def add(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A PDF of at most 10 MiB.")],
) -> Done:
    """Upload a letter; an operator reads and verifies it.

    \b
    Examples:
      herald loa add letter.pdf --account acme
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    path = addressing(call.account(), "loa_documents")
    made = call.client.write("POST", path, files={"loa_document": (file.name, content, "application/pdf")})
    return Done(made, f"{file.name} is uploaded as {made.result.get('id')}")


@app.reads("download")
def download(
    call: Call,
    id_: Which,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; nothing may be there.")],
) -> Card:
    """Write a letter to a file, as it was uploaded.

    \b
    Examples:
      herald loa download 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f letter.pdf
    """
    account, found = _find(call, id_)
    content = call.client.content(addressing(account, "loa_documents", str(found["id"]), "download"))
    try:
        with file.open("xb") as out:
            out.write(content)
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}") from error
    body: Object = {"id": found["id"], "file": str(file), "size_bytes": len(content)}
    return Card(body, (Column("file", "file"), Column("bytes", "size_bytes")))


@app.writes("verify", matches=True)
def verify(call: Call, id_: Which) -> Done:
    """Note that an operator has read the letter and it says what it must.

    \b
    Examples:
      herald loa verify 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --reason "Called them"
    """
    account, found = _find(call, id_)
    return Done(call.client.write("POST", f"{_path(account, found)}/verify"), f"letter {id_} is verified")


@app.writes("withdraw", "delete", matches=True)
def withdraw(call: Call, id_: Which) -> Done:
    """Withdraw a letter for good: nothing new stands on it; what is announced stays.

    \b
    Examples:
      herald loa withdraw 0f9c4d1e8a7b4c3d9e2f1a0b5c6d7e8f --dry-run
    """
    account, found = _find(call, id_)
    made = call.client.write("POST", f"{_path(account, found)}/withdraw")
    return Done(made, f"letter {id_} is withdrawn: it authorizes nothing new")


def _all(call: Call, account: str) -> list[Object]:
    return call.client.all(herald("accounts", account, "loa_documents"))


def _find(call: Call, which: str) -> tuple[str, Object]:
    return call.find(lambda account: _all(call, account), which, "letter", "filename")


def _path(account: str, found: Object) -> str:
    return herald("accounts", account, "loa_documents", str(found["id"]))

"""Finds what a command is to speak to: an API by URL and token, or a running lab without either."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.errors import CliError, NoLabError
from controller.observe.inventory import Inventory, InventoryError, read_inventory, running_inventories

if TYPE_CHECKING:
    from controller.cli.client import Client
    from controller.cli.http import Terms


@dataclass(frozen=True, slots=True)
class Connection:
    """An API, and the inventory that goes with it; None when only a URL is known.

    ``chosen``: the user said whose token it is to be.
    """

    client: Client
    inventory: Inventory | None
    chosen: bool = False

    def as_owner(self, account_id: str) -> Connection:
        """Return the API as the owner of ``account_id``, where it is a lab's that keeps a token of theirs.

        An operator alone cannot take an account's prefix off the air (SAFETY.md, 2). A token that the user
        chose stays, and so does the operator's where a write names the intent of two operators.
        """
        from controller.cli.client import Client  # noqa: PLC0415 (httpx is slow to import)

        if self.inventory is None or self.chosen or self.client.terms.intent is not None:
            return self
        held = self.inventory.owner_token(account_id)
        if held is None:
            return self
        return replace(
            self, client=Client.from_inventory(self.inventory, token=held, terms=self.client.terms)
        )


def connect(
    url: str | None,
    token: str | None,
    lab: str | None,
    *,
    ca: str | None = None,
    terms: Terms | None = None,
    patience_s: float | None = None,
) -> Connection:
    """Return the API at ``url``, or the running lab's; ``patience_s``: how long one answer may take.

    ``ca``: the file of who signs an ``https://`` API's certificate.
    With ``url`` and no ``token``, the token of the lab whose API that is serves.
    Raises :class:`NoLabError`, or :class:`CliError` when there is no token for the URL.
    """
    inventory = find_inventory(lab) if url is None else None
    if url is not None:
        inventory = next((i for i in alive() if url == f"unix:{i.api_socket}"), None)
    if token is None and inventory is None:
        raise CliError("a URL needs a token: give --token or HERALD_TOKEN")
    from controller.cli.client import Client  # noqa: PLC0415 (httpx is slow to import)
    from controller.cli.http import TIMEOUT_S  # noqa: PLC0415

    where = url or f"unix:{inventory.api_socket if inventory else ''}"
    held = token or (inventory.api_token if inventory else "")
    client = Client(where, held, timeout_s=patience_s or TIMEOUT_S, terms=terms, ca=ca)
    return Connection(client, inventory, chosen=token is not None)


def find_inventory(lab: str | None) -> Inventory:
    """Return the running lab called ``lab`` (its name, folder or topology file).

    Without a name: the only one, or the only one whose topology lies under the current folder.
    Raises :class:`NoLabError` that lists the choices.
    """
    found = alive()
    if lab is not None:
        path = str(Path(lab).resolve())
        named = [
            i for i in found if lab == i.lab or path in (i.folder, i.topology, str(Path(i.topology).parent))
        ]
        return _only(named or [], f"no lab {lab!r} is running: {_choices(found)}")
    if len(found) > 1:
        here = Path.cwd()
        near = [i for i in found if Path(i.topology).is_relative_to(here)]
        found = near if len(near) == 1 else found
    return _only(found, "no lab is running: herald lab up TOPOLOGY, or give --url and --token")


def alive() -> list[Inventory]:
    """Return the inventories of this user's running labs, newest first."""
    return [i for i in (_read(p) for p in running_inventories()) if i is not None]


def _only(found: list[Inventory], none: str) -> Inventory:
    if not found:
        raise NoLabError(none)
    if len(found) > 1:
        raise NoLabError(f"several labs are running: give --lab NAME or HERALD_LAB; {_choices(found)}")
    return found[0]


def _choices(found: list[Inventory]) -> str:
    if not found:
        return "none is (herald lab up TOPOLOGY)"
    return "there are " + ", ".join(sorted(f"{i.lab} ({i.topology})" for i in found))


def _read(path: Path) -> Inventory | None:
    """Return an inventory whose lab lives; a lab holds the lock beside it as long as it does."""
    if not _locked(path.with_name("lab.lock")):
        return None
    try:
        return read_inventory(path)
    except InventoryError:
        return None  # removed or half-made: a lab that comes up or goes down


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

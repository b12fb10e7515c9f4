"""One token for each account that a lab onboarded, so that commands can act as the owners of prefixes.

An operator alone cannot take an account's prefix off the air (SAFETY.md, 2): in a lab, where there is
nobody else, its commands and tests act as whom a prefix belongs to. The tokens are in one file (mode 0600) of
the instance's ``serve`` state, and a reconciling ``up`` uses them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from controller.addressing.private_file import write_private
from labs.runtimes.errors import AddressingLoadError

FILE = "owners.json"


def read_owners(state: Path) -> dict[str, str]:
    """Return the tokens kept in the ``serve`` state folder ``state``, by account; none when there is no file.

    Raises :class:`AddressingLoadError` when the file is there and damaged.
    """
    path = state / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise AddressingLoadError(
            f"{path} is damaged: remove it, and new tokens are made: {error}"
        ) from error


def keep_owners(
    state: Path, accounts: Iterable[str], is_good: Callable[[str], bool], issue: Callable[[str], str]
) -> dict[str, str]:
    """Return a token for each of ``accounts``; issue one where none is kept that ``is_good``. Keeps them all.

    A crash between issuing and keeping leaves a token that nobody has.
    """
    kept = read_owners(state)
    tokens = {a: kept[a] if a in kept and is_good(kept[a]) else issue(a) for a in accounts}
    found = {**kept, **tokens}
    if found != kept:
        write_private(state / FILE, msgspec.json.encode(found).decode())
    return found

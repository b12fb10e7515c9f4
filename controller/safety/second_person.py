"""Whether two tokens are two persons (pure): SAFETY.md, 2.

Nobody proves to Herald who he is but by a token, so persons are told apart by how their tokens came about.
The first token, which nobody issued, makes the others; each token that it issued stands for a person, with
all that descend from it. So whoever issues himself a second token is still one person, and approves nothing
of his own; and the first token is the same person as each of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.errors import HeraldError

LONGEST_LINE = 1000
"""Tokens in a line of descent; a longer one (or a circle) is a damaged store."""

Issuers = Mapping[str, str | None]
"""Token id → the id of the token that issued it; None for one that nobody issued."""


class SecondPersonError(HeraldError):
    """The approval of the same person, or of nobody that can be told."""


def ancestry(token_id: str, issuers: Issuers) -> tuple[str, ...]:
    """Return the token and those that it descends from, the nearest first.

    Raises :class:`SecondPersonError` when the line does not end: then nobody can tell who it is.
    """
    line = [token_id]
    while (issuer := issuers.get(line[-1])) is not None:
        if issuer in line or len(line) >= LONGEST_LINE:
            raise SecondPersonError(f"the tokens that issued {token_id} go round in a circle")
        line.append(issuer)
    return tuple(line)


def same_person(one: str, other: str, issuers: Issuers) -> bool:
    """Tell whether two tokens count as one person.

    They do when one descends from the other, or both from a token that was itself issued by another.
    """
    mine, theirs = ancestry(one, issuers), ancestry(other, issuers)
    if one in theirs or other in mine:
        return True
    return bool(set(mine[:-1]) & set(theirs[:-1]))


def require_second(asked_by: str, approver: str, issuers: Issuers) -> None:
    """Raise :class:`SecondPersonError` unless ``approver`` is another person than ``asked_by``."""
    if asked_by == approver:
        raise SecondPersonError("you asked for this yourself: another operator approves it")
    if same_person(asked_by, approver, issuers):
        raise SecondPersonError(
            "your token and the one that asked for this descend from each other, so they count as one "
            "person: another operator approves it, with a token that neither of the two issued"
        )

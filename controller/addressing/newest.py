"""Pages of a list, newest first: each page begins after the last of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from controller.addressing.errors import Kind, Refusal
from controller.store import Base

Row = TypeVar("Row", bound=Base)

LimitQuery = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
AfterQuery = Annotated[
    str | None, Query(min_length=1, max_length=32, description="Those after this id: `next` of a page.")
]


def newest_page(
    session: Session,
    query: Select[Row],
    key: tuple[InstrumentedAttribute[Any], InstrumentedAttribute[str]],
    after: str | None,
    limit: int,
) -> tuple[Sequence[Row], str | None]:
    """Return a page of ``query`` and where the next one begins; ``key``: the row's time and id.

    Refused when ``after`` is none of the list.
    """
    moment, id_ = key
    if after is not None:
        last = session.execute(query.where(id_ == after).with_only_columns(moment, id_)).one_or_none()
        if last is None:
            raise Refusal(
                Kind.MALFORMED_QUERY, f"{after!r} is not in this list: begin without after", "/query/after"
            )
        query = query.where(tuple_(moment, id_) < (last[0], last[1]))
    found = session.scalars(query.order_by(moment.desc(), id_.desc()).limit(limit + 1)).all()
    return found[:limit], getattr(found[limit - 1], id_.key) if len(found) > limit else None


def page_body(
    found: Sequence[Row], following: str | None, body: Callable[[Row], dict[str, Any]]
) -> dict[str, Any]:
    """Return a page as it is answered."""
    return {"result": [body(row) for row in found], "next": following}

"""Whole lists, sent as they are read: memory stays flat however long a list is.

All of a list is read in one read transaction, so that it is one consistent state. A fault while it is sent
breaks the connection off: what a client got is then no JSON, and cannot be taken for a shorter list.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec
from fastapi import Response
from fastapi.responses import StreamingResponse

from controller.addressing.envelope import JSON, success

PAGE = 500
"""Rows that are read, shown and sent at a time."""


def stream_listing(pages: Generator[Sequence[dict[str, Any]], None, None]) -> Response:
    """Answer with the envelope around a whole list; ``pages`` gives its objects in order.

    ``pages`` is closed when all is sent or the client has gone.
    """
    return StreamingResponse(_envelope(pages), media_type=JSON)


def _envelope(pages: Generator[Sequence[dict[str, Any]], None, None]) -> Iterator[bytes]:
    count = 0
    with closing(pages):
        yield msgspec.json.encode(success([])).removesuffix(b"]}")
        for page in pages:
            if page:
                yield (b"," if count else b"") + msgspec.json.encode(page)[1:-1]
            count += len(page)
        info = {"page": 1, "per_page": count, "count": count, "total_count": count, "total_pages": 1}
        yield b'],"result_info":' + msgspec.json.encode(info) + b"}"

"""A letter as it is sent back: what its headers say, and its bytes as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from sqlalchemy import select

from controller.addressing.loa_tables import LoaDocumentRow, LoaPartRow
from controller.store import Store


class PdfResponse(StreamingResponse):
    """A PDF, sent as it is read."""

    media_type = "application/pdf"


def download(store: Store, row: LoaDocumentRow) -> PdfResponse:
    """Answer with the letter's bytes; a fault in mid-way breaks the connection off, short of its length."""
    headers = {
        "Content-Length": str(row.size_bytes),
        "Content-Disposition": disposition(row.filename),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return PdfResponse(_parts(store, row.id), headers=headers)


def _parts(store: Store, document_id: str) -> Iterator[bytes]:
    with store.read() as session:
        for seq in count():
            part = session.scalar(
                select(LoaPartRow.content).where(LoaPartRow.document_id == document_id, LoaPartRow.seq == seq)
            )
            if part is None:
                break
            yield part


def disposition(filename: str) -> str:
    """Return a Content-Disposition that all clients read alike (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in filename)
    header = f'attachment; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='')}"

"""LOA documents: letters that authorize the operator to announce prefixes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Response
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from controller.addressing import letters
from controller.addressing.auth import CallerDep
from controller.addressing.bodies import Envelope
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.loa_download import PdfResponse, download
from controller.addressing.loa_tables import LoaDocumentRow, LoaPartRow
from controller.addressing.loa_upload import NAME, Upload, parse_upload
from controller.addressing.revocations import revoke
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep

COMPATIBLE = "/client/v4/accounts/{account_id}/addressing/loa_documents"
HERALD = "/herald/v1/accounts/{account_id}/loa_documents"

router = APIRouter(tags=["loa_documents"])

DocumentId = Annotated[str, Path(max_length=200)]

UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    NAME: {
                        "type": "string",
                        "format": "binary",
                        "description": "The letter: a PDF of at most 10 MiB, best as a file part.",
                    }
                },
                "required": [NAME],
                "additionalProperties": False,
            },
            "encoding": {NAME: {"contentType": "application/pdf"}},
        }
    },
}


class LoaDocumentBody(BaseModel):
    """A letter of authorization."""

    id: str
    account_id: str
    auto_generated: bool
    created: str
    filename: str
    size_bytes: int
    verified: bool
    verified_at: str | None


class LetterBody(LoaDocumentBody):
    """A letter with what Herald knows beyond the reference; ``prefix_ids``: what stands on it."""

    sha256: str
    withdrawn_at: str | None
    prefix_ids: list[str]


class Letters(BaseModel):
    """All letters of an account."""

    result: list[LetterBody]


async def uploaded(request: HttpRequest) -> Upload:
    """Return the letter in the request; what a repeated request is known by is its content.

    Clients draw a new boundary each time, so that the bodies of equal uploads differ.
    """
    body = await request.body()
    upload = await run_in_threadpool(parse_upload, request.headers.get("content-type", ""), body)
    what = f"{request.method} {request.url.path}?{request.url.query}\n{upload.filename}\n{upload.sha256}"
    request.state.request_hash = hashlib.sha256(what.encode()).hexdigest()
    return upload


UploadDep = Annotated[Upload, Depends(uploaded)]


@router.post(
    COMPATIBLE,
    response_model=Envelope[LoaDocumentBody],
    responses=refuses(Kind.MALFORMED_UPLOAD, Kind.NOT_A_PDF, Kind.DOCUMENT_TOO_LARGE),
    openapi_extra={"requestBody": UPLOAD_BODY},
)
def create_loa_document(account: AccountDep, upload: UploadDep, writer: WriterDep) -> Response:
    """Upload a letter (PDF, at most 10 MiB) as the part ``loa_document``."""

    def work(write: Write) -> dict[str, Any]:
        row = LoaDocumentRow(
            id=uuid4().hex,
            account_id=account,
            filename=upload.filename,
            size_bytes=upload.size,
            sha256=upload.sha256,
            auto_generated=False,
            created_at=write.now,
        )
        write.session.add(row)
        write.session.flush()
        for seq, piece in enumerate(upload.pieces()):
            part = LoaPartRow(document_id=row.id, seq=seq, content=piece)
            write.session.add(part)
            write.session.flush()
            write.session.expunge(part)
        write.shows(row)
        write.record(
            "create", "loa_document", row.id, account,
            filename=row.filename, size_bytes=row.size_bytes, sha256=row.sha256,
        )  # fmt: skip
        return success(_body(row))

    return writer.run(work)


@router.get(COMPATIBLE + "/{loa_document_id}/download", response_class=PdfResponse)
def download_loa_document(account: AccountDep, loa_document_id: DocumentId, context: ContextDep) -> Response:
    """The letter itself, as it was uploaded."""
    with context.store.read() as session:
        row = letters.the_letter(session, account, loa_document_id)
    return download(context.store, row)


@router.get(HERALD, response_model=Letters)
def list_loa_documents(account: AccountDep, context: ContextDep) -> Response:
    """All letters of the account, withdrawn ones among them."""
    query = (
        select(LoaDocumentRow)
        .where(LoaDocumentRow.account_id == account)
        .order_by(LoaDocumentRow.created_at, LoaDocumentRow.id)
    )
    with context.store.read() as session:
        found = session.scalars(query).all()
        standing = _prefixes(session, account)
    return json_response({"result": [_letter(row, standing[row.id]) for row in found]})


@router.get(HERALD + "/{loa_document_id}", response_model=LetterBody)
def get_loa_document(account: AccountDep, loa_document_id: DocumentId, context: ContextDep) -> Response:
    """One letter."""
    with context.store.read() as session:
        row = letters.the_letter(session, account, loa_document_id)
        standing = _prefixes(session, account)
    return json_response(_letter(row, standing[row.id]), headers={"ETag": etag(row)})


@router.post(
    HERALD + "/{loa_document_id}/verify",
    response_model=LetterBody,
    responses=refuses(Kind.LETTER_WITHDRAWN),
)
def verify_loa_document(
    account: AccountDep, loa_document_id: DocumentId, caller: CallerDep, writer: WriterDep
) -> Response:
    """An operator has read the letter, and it says what it must; again changes nothing."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = letters.the_letter(write.session, account, loa_document_id)
        write.match(row)
        if row.withdrawn_at is not None:
            raise Refusal(Kind.LETTER_WITHDRAWN, f"LOA document {row.id} was withdrawn: ask for a new one")
        if row.verified_at is None:
            row.verified_at = write.now
            write.record("verify", "loa_document", row.id, account, sha256=row.sha256)
        return _shown(write, row)

    return writer.run(work)


@router.post(HERALD + "/{loa_document_id}/withdraw", response_model=LetterBody)
def withdraw_loa_document(account: AccountDep, loa_document_id: DocumentId, writer: WriterDep) -> Response:
    """The letter authorizes nothing new from now on; what is announced stays (SAFETY.md, 11). For good.

    The ledger of revocations gets an entry for each prefix that it was for.
    """

    def work(write: Write) -> dict[str, Any]:
        row = letters.the_letter(write.session, account, loa_document_id)
        write.match(row)
        if row.withdrawn_at is None:
            row.withdrawn_at = write.now
            write.record("withdraw", "loa_document", row.id, account, sha256=row.sha256)
            for cidr in sorted(set(write.session.scalars(_named(row)))):
                revoke(write, "loa_withdrawn", account, cidr, f"LOA document {row.id} was withdrawn")
        return _shown(write, row)

    return writer.run(work)


def _named(row: LoaDocumentRow) -> Select[str]:
    """Return the query for the prefixes whose letter it is; deleted ones, which may come back, among them."""
    return select(PrefixRow.cidr).where(
        PrefixRow.account_id == row.account_id,
        PrefixRow.loa_document_id == row.id,
        or_(PrefixRow.deleted_at.is_(None), PrefixRow.deletion_id.is_not(None)),
    )


def _shown(write: Write, row: LoaDocumentRow) -> dict[str, Any]:
    write.shows(row)
    return _letter(row, _prefixes(write.session, row.account_id)[row.id])


def _prefixes(session: Session, account_id: str) -> dict[str, list[str]]:
    """Return the ids of the prefixes that name a letter, by letter."""
    found: dict[str, list[str]] = defaultdict(list)
    query = (
        select(PrefixRow.loa_document_id, PrefixRow.id)
        .where(
            PrefixRow.account_id == account_id,
            PrefixRow.loa_document_id.is_not(None),
            PrefixRow.deleted_at.is_(None),
        )
        .order_by(PrefixRow.created_at, PrefixRow.id)
    )
    for letter, prefix in session.execute(query):
        found[letter or ""].append(prefix)
    return found


def _body(row: LoaDocumentRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "auto_generated": row.auto_generated,
        "created": rfc3339(row.created_at),
        "filename": row.filename,
        "size_bytes": row.size_bytes,
        "verified": row.verified_at is not None,
        "verified_at": rfc3339(row.verified_at),
    }


def _letter(row: LoaDocumentRow, prefix_ids: Sequence[str]) -> dict[str, Any]:
    return {
        **_body(row),
        "sha256": row.sha256,
        "withdrawn_at": rfc3339(row.withdrawn_at),
        "prefix_ids": list(prefix_ids),
    }

"""A letter as it is uploaded: one part of a multipart/form-data body (RFC 7578), read strictly (pure).

What was received is what is kept, byte for byte. As a file part that is the file. SDKs that take the
document as text send a part without a file name: Python's encodes it as UTF-8, a browser's FormData (and so
the TypeScript one) makes each LF a CRLF. A letter that comes so is taken when it still is a PDF; nothing is
turned back, since what it was before cannot be known. With one exception: Python's SDK, given bytes, sends
their literal (``b'%PDF-…'``), from which they are read exactly, or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from controller.addressing.errors import Kind, Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

NAME = "loa_document"
LARGEST_LETTER = 10 << 20
"""Bytes of a letter; the reference says 10 MB."""
PIECE = 256 << 10
"""Bytes of a letter that are stored, and sent, at a time."""
MAGIC = b"%PDF-"
LITERALS = (b"b'" + MAGIC, b'b"' + MAGIC)
DEFAULT_NAME = "loa_document.pdf"
LONGEST_NAME = 255

MEDIA = frozenset({"", "application/pdf", "application/x-pdf", "application/octet-stream"})
TEXT_MEDIA = MEDIA | {"text/plain"}
BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
HOW = f"send it as the file part {NAME!r} of multipart/form-data"


@dataclass(slots=True)
class Upload:
    """An uploaded letter. ``slices`` are views into the request's body, so that there is one copy of it.

    ``is_text``: the part had no file name.
    """

    filename: str
    is_text: bool
    slices: list[memoryview] = field(default_factory=list)
    size: int = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of the letter's bytes, in hex."""
        digest = hashlib.sha256()
        for part in self.slices:
            digest.update(part)
        return digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Give the letter's bytes, at most :data:`PIECE` at a time."""
        held = bytearray()
        for part in self.slices:
            for start in range(0, len(part), PIECE):
                held += part[start : start + PIECE]
                while len(held) >= PIECE:
                    yield bytes(held[:PIECE])
                    del held[:PIECE]
        if held:
            yield bytes(held)

    def start(self, count: int) -> bytes:
        """Return the first bytes."""
        found = b""
        for part in self.slices:
            found += part[: count - len(found)]
            if len(found) == count:
                break
        return found


def parse_upload(content_type: str, body: bytes) -> Upload:
    """Return the letter in a body; refused unless it is exactly one part, named as it must be, and a PDF."""
    media, options = parse_options_header(content_type)
    if media.strip().lower() != b"multipart/form-data":
        given = content_type.partition(";")[0].strip() or "of no type"
        raise Refusal(Kind.MEDIA_TYPE, f"the body is {given}: {HOW}")
    boundary = options.get(b"boundary", b"")
    if not BOUNDARY.fullmatch(boundary):
        raise Refusal(
            Kind.MALFORMED_UPLOAD, "the Content-Type has no boundary of 1 to 70 characters (RFC 2046, 5.1.1)"
        )
    reader = _Reader(memoryview(body))
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(Kind.MALFORMED_UPLOAD, f"the body is no multipart/form-data: {error}") from error
    return reader.found()


class _Reader:
    """Follows the parser through the parts of one body."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._upload: Upload | None = None
        self._headers: dict[str, bytes] = {}
        self._header_name = b""
        self._header_value = b""
        self._ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._name_goes_on,
            "on_header_value": self._value_goes_on,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._part_starts,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def found(self) -> Upload:
        if not self._ended:
            raise Refusal(Kind.MALFORMED_UPLOAD, "the body ends before its closing boundary: send it again")
        if self._upload is None:
            raise Refusal(Kind.MALFORMED_UPLOAD, f"there is no part {NAME!r}: {HOW}", f"/{NAME}")
        if self._upload.is_text and self._upload.start(7) in LITERALS:
            _read_literal(self._upload)
        start = self._upload.start(24)
        if not start.startswith(MAGIC):
            raise Refusal(Kind.NOT_A_PDF, _no_pdf(start), f"/{NAME}")
        return self._upload

    def _name_goes_on(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value_goes_on(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        if name in self._headers:
            raise Refusal(Kind.MALFORMED_UPLOAD, f"a part has the header {name!r} twice")
        self._headers[name] = self._header_value
        self._header_name = self._header_value = b""

    def _part_starts(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind.strip().lower() != b"form-data" or not name:
            raise Refusal(Kind.MALFORMED_UPLOAD, "a part is not named by Content-Disposition: form-data")
        if name != NAME:
            raise Refusal(Kind.MALFORMED_UPLOAD, f"unknown part {name[:100]!r}: {HOW}", f"/{name[:100]}")
        if self._upload is not None:
            raise Refusal(Kind.MALFORMED_UPLOAD, f"part {NAME!r} is given twice: give it once", f"/{NAME}")
        filename = options.get(b"filename")
        self._check_encoding(is_text=filename is None)
        self._upload = Upload(
            DEFAULT_NAME if filename is None else clean_name(filename), is_text=filename is None
        )

    def _check_encoding(self, *, is_text: bool) -> None:
        media = self._headers.get("content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        if media not in (TEXT_MEDIA if is_text else MEDIA):
            raise Refusal(
                Kind.NOT_A_PDF, f"the part says that it is {media[:100]!r}: send application/pdf", f"/{NAME}"
            )
        encoding = self._headers.get("content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise Refusal(
                Kind.MALFORMED_UPLOAD,
                "the part has a Content-Transfer-Encoding: send it as it is",
                f"/{NAME}",
            )

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._upload is not None
        # The parser may hand out bytes of its own (a boundary that was none): those are not in the body.
        whole = self._body if data is self._body.obj else memoryview(data)
        self._upload.slices.append(whole[start:end])
        self._upload.size += end - start
        if self._upload.size > LARGEST_LETTER:
            raise Refusal(
                Kind.DOCUMENT_TOO_LARGE,
                f"the letter has more than {LARGEST_LETTER} bytes (10 MiB): send a smaller one",
                f"/{NAME}",
            )

    def _end(self) -> None:
        self._ended = True


def _read_literal(upload: Upload) -> None:
    """Read a letter that was sent as the literal of Python bytes; anything else stays as it is."""
    literal = b"".join(upload.slices)
    try:
        found = literal[2:-1].decode("unicode_escape").encode("latin-1")
    except UnicodeError:
        return
    if repr(found).encode() == literal:
        upload.slices, upload.size = [memoryview(found)], len(found)


def _no_pdf(start: bytes) -> str:
    """Return what is wrong with a letter that starts so; clients that send an object's name are told."""
    if not start:
        return f"the letter is empty: {HOW}"
    wrong = f"the letter begins with {start!r}, and a PDF with {MAGIC.decode()!r}"
    if start.startswith((b"b'", b'b"', b"<")):
        return f"{wrong}: the client sent the text of a Python object and not a file's bytes; {HOW}"
    return f"{wrong}: {HOW}"


def clean_name(filename: bytes) -> str:
    """Return a file name as it is kept: its last component, without controls, of a length that fits."""
    text = filename.decode("utf-8", "replace")
    text = re.split(r"[/\\]", text)[-1]
    text = "".join(c for c in text if c.isprintable()).strip(" .")
    if len(text) > LONGEST_NAME:
        stem, dot, ending = text.rpartition(".")
        keep = LONGEST_NAME - len(dot + ending)
        text = stem[:keep] + dot + ending if stem and len(ending) <= 10 else text[:LONGEST_NAME]
    return text or DEFAULT_NAME

"""Letters of authorization: what is taken as one, that it comes back whole, and what its end means."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudflare
import httpx
import pytest

from controller.addressing.errors import Refusal
from controller.addressing.loa_download import disposition
from controller.addressing.loa_upload import LARGEST_LETTER, PIECE, clean_name, parse_upload
from tests.addressing_api import Api, running_api
from tests.customers import Customer

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 3000 + b"\r\n--\r\n--b\r\n%%EOF\n"
TEXT = "%PDF-1.4\n1 0 obj\nendobj\n%%EOF\n"
PATH = "/client/v4/accounts/acme/addressing/loa_documents"
LETTERS = "/herald/v1/accounts/acme/loa_documents"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("letters")) as running:
        running.client().create_service("cdn", "CDN")
        for account in ("acme", "beta"):
            running.client().create_account(account.title(), id=account)
        yield running


@pytest.fixture(scope="module")
def acme(api: Api) -> Customer:
    return Customer(api, "acme")


def upload(acme: Customer, data: bytes = PDF, name: str = "letter.pdf", **more: Any) -> httpx.Response:
    return acme.http.post(PATH, files={"loa_document": (name, data, "application/pdf")}, **more)


def uploaded(acme: Customer) -> str:
    return upload(acme).json()["result"]["id"]


def test_a_letter_comes_back_whole(acme: Customer) -> None:
    made = upload(acme, name="Lettre d'été.pdf").json()["result"]
    assert made == {
        "id": made["id"], "account_id": "acme", "auto_generated": False, "created": made["created"],
        "filename": "Lettre d'été.pdf", "size_bytes": len(PDF), "verified": False, "verified_at": None,
    }  # fmt: skip
    answer = acme.http.get(f"{PATH}/{made['id']}/download")
    assert answer.content == PDF and len(PDF) > 2 * PIECE
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Length"] == str(len(PDF))
    assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''Lettre%20d%27%C3%A9t%C3%A9.pdf")


def test_letters_are_the_accounts_own(api: Api, acme: Customer) -> None:
    letter = uploaded(acme)
    beta = Customer(api, "beta")
    beta.refused("GET", f"loa_documents/{letter}/download", None, 404, "not_found")
    beta.refused("GET", f"{beta.own}loa_documents/{letter}", None, 404, "not_found")
    body = {"cidr": "20.200.0.0/24", "asn": None, "loa_document_id": letter}
    beta.refused("POST", "prefixes", body, 400, "unknown_loa_document")


def sent(parts: list[tuple[str, bytes]], closing: bytes = b"--edge--\r\n") -> bytes:
    return b"".join(b"--edge\r\n" + h.encode() + b"\r\n\r\n" + d + b"\r\n" for h, d in parts) + closing


FORM = "multipart/form-data; boundary=edge"
GOOD = 'Content-Disposition: form-data; name="loa_document"; filename="x.pdf"'
OTHER = 'Content-Disposition: form-data; name="comment"'


@pytest.mark.parametrize(
    ("media", "body", "status", "label"),
    [
        ("application/json", b"{}", 415, "media_type_not_supported"),
        ("", b"", 415, "media_type_not_supported"),
        ("multipart/form-data", sent([(GOOD, PDF)]), 400, "malformed_upload"),
        ("multipart/form-data; boundary=", sent([(GOOD, PDF)]), 400, "malformed_upload"),
        ("multipart/form-data; boundary=" + "b" * 71, b"", 400, "malformed_upload"),
        (FORM, b"", 400, "malformed_upload"),
        (FORM, b"--edge--\r\n", 400, "malformed_upload"),
        (FORM, b"no parts at all", 400, "malformed_upload"),
        (FORM, sent([(GOOD, PDF)], b""), 400, "malformed_upload"),
        (FORM, sent([(GOOD, PDF), (GOOD, PDF)]), 400, "malformed_upload"),
        (FORM, sent([(GOOD, PDF), (OTHER, b"x")]), 400, "malformed_upload"),
        (FORM, sent([("X-No: disposition", PDF)]), 400, "malformed_upload"),
        (FORM, sent([(f"{GOOD}\r\n{GOOD}", PDF)]), 400, "malformed_upload"),
        (
            FORM,
            sent([(f"{GOOD}\r\nContent-Transfer-Encoding: base64", PDF)]), 400, "malformed_upload",
        ),
        (FORM, sent([(f"{GOOD}\r\nContent-Type: image/png", PDF)]), 415, "not_a_pdf"),
        (FORM, sent([(GOOD, b"")]), 415, "not_a_pdf"),
        (FORM, sent([(GOOD, b"PK\x03\x04")]), 415, "not_a_pdf"),
        (FORM, sent([(GOOD, b" " + PDF)]), 415, "not_a_pdf"),
        (FORM, sent([(GOOD, b"%PDF")]), 415, "not_a_pdf"),
        (FORM, sent([(GOOD, repr(PDF).encode())]), 415, "not_a_pdf"),
    ],
)  # fmt: skip
def test_what_is_no_letter_is_refused_and_changes_nothing(  # noqa: PLR0917
    api: Api, acme: Customer, media: str, body: bytes, status: int, label: str
) -> None:
    before = api.counts()
    answer = acme.http.post(PATH, content=body, headers={"Content-Type": media})
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["message"].startswith(label + ": ")
    assert api.counts() == before


def test_the_largest_letter_fits_and_one_byte_more_does_not(acme: Customer) -> None:
    largest = b"%PDF-" + b"\r\n" * ((LARGEST_LETTER - 5) // 2) + b"x"
    assert len(largest) == LARGEST_LETTER
    made = upload(acme, largest)
    assert made.status_code == 200
    assert acme.http.get(f"{PATH}/{made.json()['result']['id']}/download").content == largest
    assert upload(acme, largest + b"x").json()["errors"][0]["code"] == 1277
    assert upload(acme, largest + b"x" * (2 << 20)).status_code == 413


def test_the_parser_keeps_one_copy_of_the_body() -> None:
    body = sent([(GOOD, PDF)])
    found = parse_upload(FORM, body)
    assert b"".join(found.pieces()) == PDF
    assert sum(len(s) for s in found.slices if s.obj is body) > len(PDF) - 100
    assert max(len(p) for p in found.pieces()) == PIECE


SENT_BY_SDK: dict[str, tuple[Callable[[], object], bytes | None]] = {
    "text": (lambda: TEXT, TEXT.encode()),
    "bytes": (lambda: PDF, PDF),
    "bytes with quotes": (lambda: b"%PDF-'\"\\", b"%PDF-'\"\\"),
    "text of a browser": (lambda: TEXT.replace("\n", "\r\n"), TEXT.replace("\n", "\r\n").encode()),
    "path": (lambda: Path("/tmp/letter.pdf"), None),  # it sends the name
    "tuple": (lambda: ("letter.pdf", PDF, "application/pdf"), None),  # three parts, none of them it
    "file": (lambda: io.BytesIO(PDF), None),  # the text of the object
}


@pytest.mark.parametrize("what", SENT_BY_SDK)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_the_sdk_sends_is_kept_exactly_or_refused(api: Api, what: str, asynchronous: bool) -> None:
    make, kept = SENT_BY_SDK[what]
    options: dict[str, Any] = {
        "api_token": api.token, "base_url": f"http://127.0.0.1:{api.port}/client/v4", "max_retries": 0,
    }  # fmt: skip

    async def with_async() -> bytes:
        async with cloudflare.AsyncCloudflare(**options) as client:
            letters = client.addressing.loa_documents
            made = await letters.create(account_id="acme", loa_document=make())  # type: ignore[arg-type]
            return await (await letters.get(made.id, account_id="acme")).read()

    def with_sync() -> bytes:
        letters = cloudflare.Cloudflare(**options).addressing.loa_documents
        made = letters.create(account_id="acme", loa_document=make())  # type: ignore[arg-type]
        return letters.get(made.id, account_id="acme").read()

    def call() -> bytes:
        return asyncio.run(with_async()) if asynchronous else with_sync()

    if kept is None:
        with pytest.raises(cloudflare.APIStatusError, match="send it as the file part"):
            call()
    else:
        assert call() == kept


def test_a_file_goes_by_the_sdks_own_post(api: Api) -> None:
    client = cloudflare.Cloudflare(
        api_token=api.token, base_url=f"http://127.0.0.1:{api.port}/client/v4", max_retries=0
    )
    answer = client.post(
        "/accounts/acme/addressing/loa_documents",
        cast_to=httpx.Response,
        files={"loa_document": ("letter.pdf", PDF, "application/pdf")},
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    assert answer.json()["result"]["size_bytes"] == len(PDF)


def test_an_upload_that_is_repeated_with_its_key_is_done_once(api: Api, acme: Customer) -> None:
    key = {"Idempotency-Key": "one"}
    first = upload(acme, headers=key)
    after = api.counts()
    assert upload(acme, headers=key).json() == first.json()  # with another boundary
    assert api.counts() == after
    assert upload(acme, PDF + b"\n", headers=key).status_code == 409


def test_a_dry_run_keeps_nothing(api: Api, acme: Customer) -> None:
    before = api.counts()
    answer = acme.http.post(f"{PATH}?dry_run=true", files={"loa_document": ("a.pdf", PDF)})
    assert answer.status_code == 200 and answer.json()["result"]["size_bytes"] == len(PDF)
    assert api.counts() == before


def test_an_operator_verifies_and_a_customer_does_not(api: Api, acme: Customer) -> None:
    letter = uploaded(acme)
    acme.refused("POST", f"{LETTERS}/{letter}/verify", None, 403, "not_allowed")
    with api.http() as http:
        verified = http.post(f"{LETTERS}/{letter}/verify").json()
        assert verified["verified"] is True and verified["verified_at"] is not None
        assert http.post(f"{LETTERS}/{letter}/verify").json() == verified
    assert acme.call("GET", f"{LETTERS}/{letter}") == verified
    assert verified in acme.call("GET", LETTERS)["result"]


def test_a_withdrawn_letter_blocks_what_is_new_and_withdraws_nothing(api: Api, acme: Customer) -> None:
    letter = uploaded(acme)
    cidr = "20.201.0.0/23"
    wanted = {"cidr": cidr, "asn": None, "loa_document_id": letter}
    acme.call("DELETE", f"prefixes/{acme.call('POST', 'prefixes', wanted)['id']}")  # it cannot come back
    made = acme.call("POST", "prefixes", wanted)
    assert made["loa_document_id"] == letter
    assert acme.call("GET", f"{LETTERS}/{letter}")["prefix_ids"] == [made["id"]]
    acme.approve(made["id"])
    path = f"prefixes/{made['id']}"
    acme.call("POST", f"{path}/bindings", {"cidr": cidr, "service_id": "cdn"})
    (bgp,) = acme.call("GET", f"{path}/bgp/prefixes")
    part = acme.call("POST", f"{path}/bgp/prefixes", {"cidr": "20.201.1.0/24"})
    sites = f"/herald/v1/accounts/acme/bgp_prefixes/{bgp['id']}/advertisement"
    acme.call("PUT", sites, {"advertised": True, "sites": ["site1"]})

    before = api.change_sets()
    withdrawn = acme.call("POST", f"{LETTERS}/{letter}/withdraw")
    assert withdrawn["withdrawn_at"] is not None
    assert acme.call("POST", f"{LETTERS}/{letter}/withdraw") == withdrawn
    (entry,) = acme.call("GET", "/herald/v1/revocations")["result"]  # once, though it was withdrawn twice
    assert (entry["kind"], entry["account_id"]) == ("loa_withdrawn", "acme")
    assert api.change_sets() == before
    (entry,) = acme.call("GET", "/herald/v1/revocations")["result"]
    assert (entry["kind"], entry["account_id"], entry["cidr"]) == ("loa_withdrawn", "acme", cidr)
    assert letter in entry["reason"]
    assert acme.call("GET", f"{path}/bgp/prefixes/{bgp['id']}")["on_demand"]["advertised"] is True

    on = {"on_demand": {"advertised": True}}
    label = "loa_document_withdrawn"
    acme.refused("PATCH", f"{path}/bgp/prefixes/{part['id']}", on, 409, label)
    acme.refused("PUT", sites, {"advertised": True, "sites": None}, 409, label)
    acme.refused("PUT", sites, {"advertised": True, "sites": ["site2"]}, 409, label)
    acme.call("PATCH", f"{path}/bgp/prefixes/{bgp['id']}", on)  # nothing new: it is announced there already
    body = {"cidr": "20.202.0.0/24", "asn": None, "loa_document_id": letter}
    acme.refused("POST", "prefixes", body, 409, label)
    with api.http() as http:
        assert http.post(f"{LETTERS}/{letter}/verify").status_code == 409
    acme.call("PUT", sites, {"advertised": False, "sites": None})
    acme.refused("PUT", sites, {"advertised": True, "sites": ["site1"]}, 409, label)


def test_a_prefix_names_a_letter_that_there_is(acme: Customer) -> None:
    body = {"cidr": "20.203.0.0/24", "asn": None, "loa_document_id": "nothing"}
    error = acme.refused("POST", "prefixes", body, 400, "unknown_loa_document")
    assert error["source"]["pointer"] == "/loa_document_id"
    made = acme.call("POST", "prefixes", {**body, "loa_document_id": None, "delegate_loa_creation": True})
    assert (made["loa_document_id"], made["delegate_loa_creation"]) == (None, True)


def test_file_names_are_made_safe() -> None:
    assert clean_name(rb"C:\letters\a.pdf") == "a.pdf"
    assert clean_name(b"../../etc/passwd") == "passwd"
    assert clean_name(b'a"\r\nX: y\x00.pdf') == 'a"X: y.pdf'
    assert clean_name(b"..") == clean_name(b"") == "loa_document.pdf"
    assert clean_name(b"n" * 400 + b".pdf") == "n" * 251 + ".pdf"
    assert clean_name(b"\xff.pdf") == "\N{REPLACEMENT CHARACTER}.pdf"
    assert disposition("a.pdf") == 'attachment; filename="a.pdf"'
    quoted = disposition('a"; filename="b.exe\\.pdf')
    assert quoted.startswith('attachment; filename="a__ filename__b.exe_.pdf"; filename*=')


def test_a_refusal_is_raised_while_it_is_read() -> None:
    with pytest.raises(Refusal, match="unknown part"):
        parse_upload(FORM, sent([(OTHER, b"x")], b""))

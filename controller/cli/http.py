"""Speaks to the API over TCP or a unix socket: requests, answers, refusals."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import httpx
import msgspec

from controller.cli.answers import Object, Written
from controller.cli.errors import ApiError, ApiUnreachableError, CliError

TIMEOUT_S = 15.0
"""Seconds for which one answer is waited for, beside what was asked to be waited."""

CHANGE_SET_HEADER = "Herald-Change-Set"

Files = Mapping[str, tuple[str, bytes, str]]
"""Parts of a form: name → file name, content, media type."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is said with each write. ``if_match`` is an entity tag, with or without its quotes.

    ``intent``: the id of one that two operators have signed.
    """

    dry_run: bool = False
    reason: str | None = None
    if_match: str | None = None
    intent: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that carry it."""
        found = {}
        if self.reason is not None:
            found["Herald-Reason"] = self.reason
        if self.if_match is not None:
            bare = self.if_match == "*" or '"' in self.if_match
            found["If-Match"] = self.if_match if bare else f'"{self.if_match}"'
        if self.intent is not None:
            found["Herald-Intent"] = self.intent
        return found


class Http:
    """The API at ``url`` (``https://HOST:PORT``, ``http://…`` or ``unix:/PATH``) with a bearer token.

    ``ca``: a PEM file of who signs an ``https://`` API's certificate; the system's signers if left out.

    Methods raise :class:`ApiError` with the server's own words when it refuses, and
    :class:`ApiUnreachableError` when it does not answer.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = TIMEOUT_S,
        terms: Terms | None = None,
        ca: str | None = None,
    ) -> None:
        self.url = url
        self.terms = terms or Terms()
        self._timeout_s = timeout_s
        if not token.isascii() or not token.isprintable():
            raise CliError("the token has characters that no token has: give it as it was shown")
        headers = {"Authorization": f"Bearer {token}"}
        if url.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=url.removeprefix("unix:").removeprefix("//"))
            self._http = httpx.Client(
                transport=transport, base_url="http://herald", headers=headers, timeout=timeout_s
            )
        elif url.startswith(("http://", "https://")):
            try:
                if not httpx.URL(url).host:
                    raise CliError(f"{url!r} is no URL of an API: it names no host")
                self._http = httpx.Client(
                    base_url=url, headers=headers, timeout=timeout_s, verify=_signers(ca)
                )
            except httpx.InvalidURL as error:
                raise CliError(f"{url!r} is no URL of an API: {error}") from error
        else:
            raise CliError(f"{url!r} is no URL of an API: give https://HOST:PORT, http://… or unix:/PATH")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, query: Mapping[str, str] | None = None, *, extra_s: float = 0.0) -> object:
        """Return what a route answers, out of its envelope if it has one."""
        return _unwrapped(self._call("GET", path, query=query, extra_s=extra_s)[0])

    def one(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """Return one object."""
        return self.tagged(path, query)[0]

    def tagged(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Object, str | None]:
        """Return one object and its ETag, without quotes."""
        answer, headers = self._call("GET", path, query=query)
        return _object(_unwrapped(answer)), _tag(headers)

    def all(self, path: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """Return a list, whether it stands alone, in an envelope or as ``result``; all of its pages."""
        found: list[Object] = []
        asked = dict(query or {})
        while True:
            page = self.get(path, asked)
            found += msgspec.convert(page["result"] if isinstance(page, dict) else page, list[Object])
            following = page.get("next") if isinstance(page, dict) else None
            if following is None:
                return found
            asked["after"] = str(following)

    def content(self, path: str) -> bytes:
        """Return what a route answers that is no JSON."""
        response = self.raw("GET", path)
        if not response.is_success:
            try:
                answer: object = msgspec.json.decode(response.content)
            except msgspec.DecodeError:
                answer = {}
            raise _refused(answer, response)
        return response.content

    def write(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        files: Files | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Written:
        """Do a write on this client's terms; ``files`` are parts of a form, and stand in for a body."""
        asked = {**(query or {}), **({"dry_run": "true"} if self.terms.dry_run else {})}
        said = {**self.terms.headers(), **(headers or {})}
        answer, answered = self._call(method, path, query=asked, body=body, headers=said, files=files)
        whole = _object(answer)
        result = _unwrapped(whole)
        found = {} if result is None else dict(_object(result))
        plan = whole.get("plan") if self.terms.dry_run else None
        if self.terms.dry_run:
            found.pop("plan", None)
        made = answered.get(CHANGE_SET_HEADER)
        ids = tuple(part.strip() for part in made.split(",")) if made else ()
        return Written(found, ids, _tag(answered), plan)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        files: Files | None = None,
        extra_s: float = 0.0,
    ) -> tuple[object, httpx.Headers]:
        response = self.raw(
            method, path, query=query, body=body, headers=headers, files=files, extra_s=extra_s
        )
        try:
            answer: object = msgspec.json.decode(response.content) if response.content else {}
        except msgspec.DecodeError as error:
            raise ApiUnreachableError(
                f"{self.url} answers {method} {path} with no JSON: is it Herald's API?"
            ) from error
        if not response.is_success:
            raise _refused(answer, response)
        return answer, response.headers

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        files: Files | None = None,
        extra_s: float = 0.0,
    ) -> httpx.Response:
        """Return the response as it is, whatever its status."""
        try:
            return self._http.request(
                method,
                path,
                params=query or None,
                json=body,
                headers=headers,
                files=files,
                timeout=self._timeout_s + extra_s,
            )
        except httpx.TimeoutException as error:
            raise ApiUnreachableError(f"the API at {self.url} does not answer in time: try again") from error
        except httpx.HTTPError as error:
            raise ApiUnreachableError(
                f"the API at {self.url} does not answer ({error}): is herald serve running?"
            ) from error
        except httpx.InvalidURL as error:
            raise CliError(f"{self.url!r} is no URL of an API: {error}") from error


def _signers(ca: str | None) -> ssl.SSLContext | bool:
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise CliError(f"{ca} holds no certificate in PEM: give --ca the signer's") from error
    except OSError as error:
        raise CliError(f"cannot read {ca}: {error.strerror}") from error


def _unwrapped(answer: object) -> object:
    """Return what is in an envelope; anything else as it is."""
    return answer.get("result") if isinstance(answer, dict) and "success" in answer else answer


def _object(value: object) -> Object:
    return msgspec.convert(value, Object)


def _tag(headers: httpx.Headers) -> str | None:
    tag = headers.get("ETag")
    return None if tag is None else tag.strip('"')


def _refused(answer: object, response: httpx.Response) -> ApiError:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not errors:
        return ApiError(
            f"{response.request.method} {response.request.url.path}: {response.status_code}",
            status=response.status_code,
        )
    first = errors[0]
    pointers = [(e.get("source") or {}).get("pointer") for e in errors]
    messages = [str(e.get("message", "")) for e in errors]
    return ApiError(
        "; ".join(messages),
        status=response.status_code,
        code=first.get("code", 0),
        pointer=pointers[0],
        with_fields="; ".join(f"{m} ({p})" if p else m for m, p in zip(messages, pointers, strict=True)),
    )

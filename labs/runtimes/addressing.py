"""Load a topology's ``configs/addressing.json`` through the API, as the operator.

What is there already is left as it is, so that loading twice changes nothing. Each account gets a token of
its own (:mod:`labs.runtimes.owners`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from labs.runtimes.errors import AddressingLoadError
from labs.runtimes.owners import keep_owners
from labs.topology.addressing_data import AccountData, PrefixData, read_addressing

TIMEOUT_S = 60.0
"""Seconds that one call may take: many daemons start beside it, maybe on a busy machine."""


def load(source: Path, api: Path, token: str, state: Path, on_progress: Callable[[int, int], None]) -> None:
    """Create what ``source`` names and the API at the socket ``api`` does not have yet.

    ``state``: the ``serve`` state folder, where the owners' tokens are kept.
    Raises :class:`AddressingLoadError` with the API's own answer when it refuses something.
    """
    data = read_addressing(source)
    total, done = sum(len(a.prefixes) for a in data.accounts), 0
    on_progress(done, total)
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(api)),
        base_url="http://herald",
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_S,
    ) as http:
        client = _Client(http)
        for service in data.services:
            client.create("/herald/v1/services", {"id": service.id, "name": service.name})
        for account in data.accounts:
            client.create("/herald/v1/accounts", {"id": account.id, "name": account.name})
            for _ in _load_account(client, account):
                done += 1
                on_progress(done, total)
        keep_owners(state, [account.id for account in data.accounts], client.knows, client.issue)


def _load_account(client: _Client, account: AccountData) -> Iterator[PrefixData]:
    base = f"/client/v4/accounts/{account.id}/addressing/prefixes"
    there = {row["cidr"]: row for row in client.list(base)}
    for wanted in account.prefixes:
        row = there.get(wanted.cidr) or client.create(base, _body(wanted))
        if wanted.approved and row["approved"] != "V":
            client.create(f"{base}/{row['id']}/approve", {})
        if wanted.bindings:
            bindings = f"{base}/{row['id']}/bindings"
            bound = {b["cidr"] for b in client.list(bindings)}
            for binding in wanted.bindings:
                if binding.cidr not in bound:
                    client.create(bindings, {"cidr": binding.cidr, "service_id": binding.service_id})
        yield wanted


def _body(wanted: PrefixData) -> dict[str, Any]:
    return {"cidr": wanted.cidr, "asn": wanted.asn, "description": wanted.description}


class _Client:
    """The few calls that loading needs."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def list(self, path: str) -> list[dict[str, Any]]:
        """Return a list's items."""
        result: list[dict[str, Any]] = self._call("GET", path, None)["result"]
        return result

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something; what exists already (409 on Herald's own routes) is fine."""
        answer = self._call("POST", path, body)
        result: dict[str, Any] = answer.get("result") or answer
        return result

    def issue(self, account_id: str) -> str:
        """Return a new token of an account's customer."""
        body = {"role": "customer", "account_id": account_id, "description": "the lab's, to act as the owner"}
        return str(self._call("POST", "/herald/v1/tokens", body)["token"])

    def knows(self, token: str) -> bool:
        """Tell whether a token still is one: its store may have been restored, or it was revoked."""
        try:
            answer = self._http.get("/herald/v1/caller", headers={"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            raise AddressingLoadError(f"the API does not answer: {error}") from error
        return answer.is_success

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise AddressingLoadError(f"{method} {path}: the API does not answer: {error}") from error
        exists = response.status_code == HTTPStatus.CONFLICT and path.startswith("/herald/v1/")
        if not response.is_success and not exists:
            raise AddressingLoadError(
                f"{method} {path} {body}: {response.status_code} {response.text.strip()}"
            )
        answer: dict[str, Any] = response.json()
        return answer

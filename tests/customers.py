"""One account's customer, for tests: calls under its own path, and refusals by name."""

from __future__ import annotations

import itertools
from typing import Any

from tests.addressing_api import Api

_numbers = itertools.count(0, 4)


class Customer:
    """Calls with a customer's token; paths are relative to the account's addressing, or begin with /."""

    def __init__(self, api: Api, account: str) -> None:
        token = api.client().create_token("customer", account_id=account)["token"]
        self.account = account
        self.http = api.http(token)
        self.base = f"/client/v4/accounts/{account}/addressing/"
        self.own = f"/herald/v1/accounts/{account}/"
        self._operator = api.http()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what a call gives: the envelope's result, or the whole body where there is none."""
        where = path if path.startswith("/") else self.base + path
        answer = self.http.request(method, where, **({} if body is None else {"json": body}))
        assert answer.status_code == 200, (method, where, answer.text)
        shown = answer.json()
        return shown.get("result", shown) if where.startswith(self.base) else shown

    def refused(self, method: str, path: str, body: object, status: int, label: str) -> dict[str, Any]:
        """Return the error of a call that is refused by this name."""
        where = path if path.startswith("/") else self.base + path
        answer = self.http.request(method, where, **({} if body is None else {"json": body}))
        assert answer.status_code == status, (method, where, answer.text)
        error: dict[str, Any] = answer.json()["errors"][0]
        assert error["message"].startswith(f"{label}: "), error
        return error

    def approve(self, prefix_id: str) -> None:
        """Let an operator approve a prefix."""
        answer = self._operator.post(f"{self.base}prefixes/{prefix_id}/approve")
        assert answer.status_code == 200, answer.text

    def prefix(self, *, service: str | None = "cdn", approved: bool = True) -> dict[str, str]:
        """Return id, cidr and a part (a /24) of a new prefix, bound as a whole to ``service``."""
        number = next(_numbers)
        cidr = f"20.{number >> 8}.{number & 255}.0/22"
        made = self.call("POST", "prefixes", {"cidr": cidr, "asn": None})
        if approved:
            self.approve(made["id"])
            if service is not None:
                self.call("POST", f"prefixes/{made['id']}/bindings", {"cidr": cidr, "service_id": service})
        return {"id": made["id"], "cidr": cidr, "part": f"20.{number >> 8}.{(number & 255) + 1}.0/24"}

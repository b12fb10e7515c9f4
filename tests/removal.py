"""Who takes part in removal, for tests: owners, two operators; and the operational state, admitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
from sqlalchemy import select

from controller.safety.intents import Intent, verify_signature
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.model import ChangeSet, Chunk
from controller.snapshots.tables import ChangeSetRow
from tests.addressing_api import Api, furnished

BASE = "/client/v4/accounts/acme/addressing/prefixes"


class Cast:
    """Account acme with an approved, bound prefix, globex with nothing; and a client for each who acts."""

    def __init__(self, api: Api, cidr: str) -> None:
        self.api = api
        self.ids = furnished(api, cidr=cidr)
        client = api.client()
        client.create_account("Globex", id="globex")
        self.owner = api.http(client.create_token("customer", account_id="acme")["token"])
        self.globex = api.http(client.create_token("customer", account_id="globex")["token"])
        # Two persons: the first token is the same person as each of those that it issued.
        self.operator = api.http(client.create_token("operator")["token"])
        self.second = api.http(client.create_token("operator")["token"])
        self.prefix = self.ids["prefix"]
        self.path = f"/herald/v1/accounts/acme/prefixes/{self.prefix}"
        self.bgp = f"{BASE}/{self.prefix}/bgp/prefixes/{self.ids['bgp']}"

    def advertise(self, advertised: bool = True) -> httpx.Response:
        answer = self.owner.patch(self.bgp, json={"on_demand": {"advertised": advertised}})
        assert answer.status_code == 200, answer.text
        return answer

    def another(self, cidr: str, account: str = "acme") -> str:
        """Onboard, approve and bind one more prefix; return its id."""
        client = self.api.client()
        made = client.create_prefix(account, cidr)
        client.approve_prefix(account, made["id"])
        client.bind(account, made["id"], cidr, "cdn")
        return str(made["id"])

    def ask_deletion(self, prefix_id: str | None = None, account: str = "acme") -> httpx.Response:
        client = self.owner if account == "acme" else self.globex
        return client.put(
            f"/herald/v1/accounts/{account}/prefixes/{prefix_id or self.prefix}/deletion",
            json={"reason": "we left"},
        )

    def delete(
        self, *ids: str, count: int | None = None, selector: Any = None, **headers: str
    ) -> httpx.Response:
        body = {
            "ids": list(ids),
            "expected_count": len(ids) if count is None else count,
            "selector": selector,
            "reason": "clean-up",
        }
        return self.operator.post("/herald/v1/prefix_deletions", json=body, headers=headers)

    def two_operators(self, kind: str, *prefixes: str, account: str = "acme", **more: Any) -> str:
        """Make a signed intent of two operators; return its id."""
        body = {"account_id": account, "kind": kind, "prefixes": prefixes, "reason": "r", "expires_in_s": 600}
        asked = self.operator.post("/herald/v1/intent_requests", json=body | more)
        assert asked.status_code == 200, asked.text
        id_: str = asked.json()["id"]
        confirmed = self.second.post(f"/herald/v1/intent_requests/{id_}/confirm")
        assert confirmed.json()["state"] == "signed", confirmed.text
        return id_

    def close(self) -> None:
        for client in (self.owner, self.globex, self.operator, self.second):
            client.close()


@contextmanager
def cast(api: Api, cidr: str = "192.0.2.0/24") -> Iterator[Cast]:
    made = Cast(api, cidr)
    yield made
    made.close()


def admit(api: Api, account: str = "acme") -> Chunk | None:
    """Carry out all queued change-sets as the driver does, without sites; return the account's chunk.

    Raises when one does not fit the operational state.
    """
    with api.store.write() as session:
        for row in outbox.queued(session, 1000):
            change_set = outbox.decode(row)
            old = snapshots.head_of(session, row.account_id)
            tree = {} if old is None else {row.account_id: old}
            chunk = None if old is None else snapshots.chunk(session, old)
            snapshots.commit(session, candidate(tree, chunk, change_set), change_set)
            outbox.move(session, row.id, "done", "")
        found = snapshots.head_of(session, account)
        return None if found is None else snapshots.chunk(session, found)


def change_set(api: Api, answer: httpx.Response) -> ChangeSet:
    """Return the change-set that a write's answer names."""
    with api.store.read() as session:
        row = session.scalars(
            select(ChangeSetRow).where(ChangeSetRow.id == answer.headers["Herald-Change-Set"])
        ).one()
    return msgspec.json.decode(row.body, type=ChangeSet)


def intents(api: Api, answer: httpx.Response) -> list[Intent]:
    """Return the intents that a write's change-set carries, their signatures checked."""
    keys = api.app.state.context.intents.public_keys
    return [verify_signature(text, keys) for text in change_set(api, answer).intents]


def refused(answer: httpx.Response, status: int, label: str, pointer: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["errors"][0]
    assert error["message"].startswith(label + ": "), error
    assert pointer is None or error["source"]["pointer"] == pointer, error

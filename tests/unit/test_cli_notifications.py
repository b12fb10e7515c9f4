"""Timelines, histories and webhooks by the command line, against the API."""

from __future__ import annotations

import pytest

from tests.addressing_api import furnished, running_api
from tests.command_line import readable, speaker

CIDR = "198.18.0.0/22"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("told")) as running:
        furnished(running, cidr=CIDR)
        yield running


@pytest.fixture
def herald(api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def test_a_webhook_from_beginning_to_end(herald, capsys) -> None:
    assert herald("webhooks", "list")[0] == []
    url = "https://hooks.example.net/herald"
    made, _ = herald("webhooks", "add", url, "--event", "prefix.*", "--description", "ours")
    assert made["secret"].startswith("whsec_") and made["events"] == ["prefix.*"]
    (listed,) = herald("webhooks", "list")[0]
    assert listed["id"] == made["id"] and "secret" not in listed
    changed, _ = herald("webhooks", "change", made["id"], "--event", "*", "--disable")
    assert (changed["events"], changed["enabled"]) == (["*"], False)
    assert herald("webhooks", "change", made["id"], "--enable")[0]["enabled"] is True
    assert herald("webhooks", "rotate", made["id"], "--overlap", "60")[0]["secret"] != made["secret"]
    sent, _ = herald("webhooks", "test", made["id"])
    waiting = {d["id"]: d["state"] for d in herald("webhooks", "deliveries", made["id"])[0]}
    assert waiting[sent["id"]] == "pending"
    assert "delivery_pending" in herald("webhooks", "redeliver", made["id"], sent["id"], status=1)[1]
    readable(
        capsys, ["webhooks", "list"], ["webhooks", "show", made["id"]], ["webhooks", "deliveries", made["id"]]
    )
    herald("webhooks", "delete", made["id"])
    assert herald("webhooks", "list")[0] == []
    assert "webhook_target_refused" in herald("webhooks", "add", "https://127.0.0.1/x", status=1)[1]


def test_what_happened(herald, capsys) -> None:
    herald("prefixes", "change", CIDR, "--description", "new", "--reason", "Ticket 9")
    history, _ = herald("prefixes", "history", CIDR)
    assert (history[-1]["action"], history[-1]["reason"]) == ("edit", "Ticket 9")
    entries, _ = herald("timeline", "list", "--prefix", CIDR)
    assert [e["seq"] for e in entries] == sorted(e["seq"] for e in entries)
    assert entries[-1]["reason"] == "Ticket 9" and len(entries) > 4
    readable(capsys, ["timeline", "list"], ["prefixes", "history", CIDR])

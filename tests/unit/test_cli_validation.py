"""Validation by the command line, against the API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.addressing import prefix_checks
from controller.addressing.prefix_checks import Result
from controller.addressing.validation_view import NoSources
from controller.cli.app import run
from controller.validation.checks import CHECKS, Answer
from controller.validation.config import ValidationConfig
from tests.addressing_api import Api, furnished, running_api
from tests.command_line import speaker

CIDR = "192.0.2.0/24"
CONFIG = ValidationConfig(rtr=("127.0.0.1:1",), whois=("127.0.0.1:1",), require_validation=False)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("bare")) as running:
        furnished(running)
        yield running


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path, validation=NoSources(CONFIG)) as running:
        running.client().create_account("Acme", id="acme")
        running.client().create_prefix("acme", CIDR)
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def answer(api: Api, said: Answer) -> None:
    now = datetime.now(UTC)
    with api.store.write() as session:
        (job,) = prefix_checks.due(session, CONFIG, now, 1, ())
        prefix_checks.record(session, [Result(job, dict.fromkeys(CHECKS, said), now)], CONFIG)


def test_checks_from_the_question_to_the_answer(api: Api, herald, capsys) -> None:
    made, _ = herald("prefixes", "validate", CIDR)
    assert all(c["under_way"] for c in made["checks"])
    _, err = herald("prefixes", "validate", CIDR, "--wait", "--deadline", "0", status=1)
    assert "irr, rpki, ownership: not answered within 0 s; it goes on: herald prefixes checks" in err
    answer(api, Answer("missing", "nothing is there"))
    found, _ = herald("prefixes", "checks", CIDR)
    assert [c["state"] for c in found["result"]] == ["error"] * 3
    history, _ = herald("prefixes", "checks", CIDR, "--history")
    assert {a["outcome"] for a in history} == {"missing"}
    assert run(["prefixes", "checks", CIDR]) == 0
    out, _ = capsys.readouterr()
    assert "nothing is there" in out and "publish a ROA" in out


def test_waiting_without_a_source_ends_at_once(bare: Api, monkeypatch, tmp_path, capsys) -> None:
    herald = speaker(bare, monkeypatch, tmp_path, capsys)
    made, _ = herald("prefixes", "validate", CIDR, "--wait")
    assert {c["reason"] for c in made["checks"]} == {"no source is configured"}


def test_status_and_accept(herald, capsys) -> None:
    found, _ = herald("validation", "status")
    assert found["checks"] == {"irr": {"pending": 1}, "rpki": {"pending": 1}, "ownership": {"pending": 1}}
    assert run(["validation", "status"]) == 0
    out, _ = capsys.readouterr()
    assert "There is no source of VRPs" in out and "pending" in out
    _, err = herald("validation", "accept", "x:1", "5", status=1)
    assert "nothing_to_accept" in err

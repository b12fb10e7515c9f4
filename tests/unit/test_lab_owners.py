"""The tokens that a lab keeps for the owners of its accounts, and who acts by them."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from controller.addressing.tables import EventRow
from controller.cli.app import run
from controller.cli.find import connect
from controller.cli.http import Terms
from controller.observe.inventory import Inventory, Owner
from labs.runtimes.addressing import load
from labs.runtimes.errors import AddressingLoadError
from labs.runtimes.owners import FILE, read_owners
from tests.addressing_api import Api, running_api

CIDR = "192.0.2.0/24"
SOURCE: dict[str, Any] = {
    "services": [{"id": "cdn", "name": "CDN"}],
    "accounts": [
        {
            "id": "acme",
            "name": "Acme",
            "prefixes": [
                {
                    "cidr": CIDR,
                    "asn": None,
                    "approved": True,
                    "bindings": [{"cidr": CIDR, "service_id": "cdn"}],
                }
            ],
        },
        {"id": "globex", "name": "Globex", "prefixes": []},
    ],
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


def bring_up(api: Api, folder: Path) -> dict[str, str]:
    """Do what ``lab up`` does with the configured state, and return the owners' tokens."""
    source = folder / "addressing.json"
    source.write_bytes(msgspec.json.encode(SOURCE))
    load(source, api.socket, api.token, folder / "serve", lambda _n, _m: None)
    return read_owners(folder / "serve")


def lab(api: Api, folder: Path, owners: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a lab with this API be found as running; returns its lock."""
    runtime = folder / "rt" / "one"
    runtime.mkdir(parents=True)
    inventory = Inventory(
        lab="one", topology="one.clab.yml", folder=str(folder), runtime=str(runtime), instance="i",
        api_socket=str(api.socket), api_token=api.token, capture_socket="", nodes=(), sites=(),
        owners=tuple(Owner(*pair) for pair in owners.items()),
    )  # fmt: skip
    (runtime / "inventory.json").write_bytes(msgspec.json.encode(inventory))
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(folder / "rt"))
    for name in ("HERALD_TOKEN", "HERALD_URL", "HERALD_LAB"):
        monkeypatch.delenv(name, raising=False)
    descriptor = os.open(runtime / "lab.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def last_actor(api: Api) -> str:
    with api.store.read() as session:
        row = session.scalar(select(EventRow).order_by(EventRow.seq.desc()).limit(1))
        assert row is not None
        return row.actor


def test_each_account_gets_a_token_of_its_own_that_a_second_up_uses_again(api: Api, tmp_path: Path) -> None:
    first = bring_up(api, tmp_path)
    assert sorted(first) == ["acme", "globex"]
    assert stat.S_IMODE((tmp_path / "serve" / FILE).stat().st_mode) == 0o600
    for account, token in first.items():
        caller = api.client(token).caller()
        assert (caller.role, caller.account_id) == ("customer", account)
    tokens = len(api.client().tokens())
    assert bring_up(api, tmp_path) == first
    assert len(api.client().tokens()) == tokens


def test_a_token_that_no_longer_holds_is_replaced_and_a_damaged_file_is_told(
    api: Api, tmp_path: Path
) -> None:
    first = bring_up(api, tmp_path)
    api.client().revoke_token(api.client(first["acme"]).caller().id)
    second = bring_up(api, tmp_path)
    assert second["acme"] != first["acme"] and second["globex"] == first["globex"]
    (tmp_path / "serve" / FILE).write_text("{")
    with pytest.raises(AddressingLoadError, match=r"owners\.json is damaged"):
        bring_up(api, tmp_path)


def test_announcing_and_withdrawing_act_as_the_prefixs_owner(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owners = bring_up(api, tmp_path)
    held = lab(api, tmp_path, owners, monkeypatch)
    owner, operator = (
        f"{c.role}:{c.id}" for c in (api.client(t).caller() for t in (owners["acme"], api.token))
    )
    for verb in ("announce", "withdraw"):
        assert run([verb, CIDR, "--wait", "accepted", "--json"]) in (0, 1)
        assert last_actor(api) == owner
    for how in (["--token", api.token], []):
        if not how:
            monkeypatch.setenv("HERALD_TOKEN", api.token)
        assert run(["announce", CIDR, "--wait", "accepted", *how]) in (0, 1)
        assert last_actor(api) == operator
    capsys.readouterr()
    os.close(held)


def test_an_account_of_which_the_lab_has_no_token_and_two_operators_intent_are_the_operators(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = lab(api, tmp_path, bring_up(api, tmp_path), monkeypatch)
    assert connect(None, None, None).as_owner("acme").client.caller().role == "customer"
    assert connect(None, None, None).as_owner("initech").client.caller().role == "operator"
    named = connect(None, None, None, terms=Terms(intent="0" * 32))
    assert named.as_owner("acme").client.caller().role == "operator"
    os.close(held)

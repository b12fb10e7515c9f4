"""``herald store`` as a person runs it, and ``GET /herald/v1/store``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from controller.cli.app import run
from controller.rollout.driver import Driver
from controller.rollout.store_routes import StoreBody, build_store_router
from tests.addressing_api import furnished
from tests.addressing_api import running_api as serving  # SQLite is enough here
from tests.driving import living
from tests.fake_agent import FakeAgent, MemoryLink


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("state")
    with serving(where) as api:
        furnished(api)
    return where


def test_export_import_backup_restore_and_check(state: Path, tmp_path: Path, capsys) -> None:
    lines, copy, new = tmp_path / "all.jsonl", tmp_path / "copy", f"sqlite:///{tmp_path}/new.db"
    assert run(["store", "export", str(lines), "--state-dir", str(state), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == len(lines.read_text().splitlines())
    assert run(["store", "import", str(lines), "--database", new, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["accounts"] == 1
    assert run(["store", "export", f"{lines}.2", "--database", new]) == 0
    assert Path(f"{lines}.2").read_bytes() == lines.read_bytes()
    assert lines.stat().st_mode & 0o777 == 0o600
    assert run(["store", "backup", str(copy), "--database", new]) == 0
    assert run(["store", "restore", str(copy), "--database", new]) == 1
    assert "give --replace" in capsys.readouterr().err
    assert run(["store", "restore", str(copy), "--database", new, "--replace"]) == 0
    assert run(["store", "check", "--database", new]) == 0
    assert "the store is whole" in capsys.readouterr().out


def test_what_cannot_be_done_is_one_line(state: Path, tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    for argv, code, says in (
        (["export", "-"], 2, "give one of them"),
        (["export", "-", "--database", str(tmp_path / "none.db")], 1, "there is no store at"),
        (["import", str(bad), "--database", str(tmp_path / "n.db")], 1, "line 1: this is no export"),
        (["import", str(tmp_path / "no"), "--database", str(tmp_path / "n.db")], 1, "cannot read"),
        (["import", str(bad), "--state-dir", str(state)], 1, "import into a new one"),
        (["check", "--database", "mysql://u:s3cret@h/d"], 1, "give a file's path"),
    ):
        assert run(["store", *argv]) == code, argv
        err = capsys.readouterr().err
        assert says in err and err.count("\n") == 1 and "s3cret" not in err, err


def test_the_store_shows_what_sites_hold_that_it_does_not_know(tmp_path: Path, capsys, monkeypatch) -> None:
    agent = FakeAgent("site1", tmp_path / "1.sock")
    agent.generation, agent.accounts["acme"] = 7, "f" * 64  # commanded by a store that is lost
    drivers: list[Driver] = []

    def routers(store):
        drivers.append(Driver(store, {"site1": MemoryLink(agent)}))
        return [build_store_router(drivers[0])]

    async def hear(driver: Driver) -> None:
        async with living(driver):
            await driver.sites["site1"].tried.wait()

    with serving(tmp_path, routers_over=routers) as api, api.http() as http:
        asyncio.run(hear(drivers[0]))
        found = http.get("/herald/v1/store").json()
        StoreBody.model_validate(found, strict=True)
        assert found["shrunk"] is True
        (site,) = found["sites"]
        assert (site["generation"], site["conflicts"], site["unknown_prefixes"]) == (7, 1, [])
        (conflict,) = found["conflicts"]
        assert (conflict["account_id"], conflict["held"], conflict["wanted"]) == ("acme", "f" * 64, None)
        monkeypatch.setenv("HERALD_URL", f"unix:{api.socket}")
        monkeypatch.setenv("HERALD_TOKEN", api.token)
        assert run(["store", "status"]) == 0
        shown = capsys.readouterr().out
        assert "acme" in shown and "f" * 12 in shown

"""The command line: help and JSON everywhere, one line for every mistake, finding a running lab."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typer

from controller.cli import find
from controller.cli.app import build_app, run
from controller.cli.errors import NoLabError
from controller.observe.inventory import Inventory
from tests.addressing_api import Api, furnished, running_api
from tests.command_line import change_sets, speaker

PROCESSES = {"serve", "agent", "machine"}
"""They run until they are ended, and say ``ready``; there is nothing to print as JSON."""


def commands(group, path: tuple[str, ...] = ()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def all_commands():
    return list(commands(typer.main.get_command(build_app())))


def test_every_command_has_help_and_json(capsys) -> None:
    found = all_commands()
    assert {"announce", "withdraw", "ribs"} <= {path[0] for path, _ in found} and len(found) > 20
    for path, command in found:
        assert (command.help or "").strip(), path
        options = {o for p in command.params for o in getattr(p, "opts", [])}
        # ``exec`` and ``export`` hand their output through as it is.
        if path[0] not in PROCESSES and path[-1] not in ("exec", "export"):
            assert "--json" in options, path
        for parameter in command.params:
            if any(o.startswith("--") for o in parameter.opts):
                assert getattr(parameter, "help", None) or parameter.name == "description", (
                    path,
                    parameter.name,
                )
        assert run([*path, "--help"]) == 0
        assert "Usage: herald " + " ".join(path) in capsys.readouterr().out


def test_help_is_quick_because_nothing_heavy_is_loaded() -> None:
    heavy = ("fastapi", "sqlalchemy", "httpx", "uvicorn", "pydantic", "grpc", "matplotlib", "rich.console")
    code = (
        "import sys; from controller.cli.app import run; run(['--help']);"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["anounce"], 2, "No such command"),
        (["announce"], 2, "CIDR"),
        (["announce", "192.0.2.0/24", "--colour"], 2, "--colour"),
        (["announce", "192.0.2.0/24", "--deadline", "soon"], 2, "deadline"),
        (["withdraw", "192.0.2.0/24", "--strategy", "magic"], 2, "strategy"),
        (["serve", "--state-dir", "x"], 2, "--listen"),
        (["serve", "--state-dir", "x", "--socket", "y", "--site", "s"], 2, "NAME=AGENT_SOCKET"),
        (["serve", "--state-dir", "x", "--socket", "y", "--site", "s=a", "--site", "s=b"], 2, "twice"),
        (["serve", "--state-dir", "x", "--listen", "0.0.0.0:0"], 1, "--insecure"),
        (["serve", "--state-dir", "x", "--listen", "[::1]:0", "--tls-cert", "c"], 2, "--tls-key"),
        (["serve", "--state-dir", "x", "--socket", "y", "--rate-limit", "many"], 1, "CALLS/SECONDS"),
        (["announce", "192.0.2.1/24"], 1, "did you mean 192.0.2.0/24"),
        (["announce", "192.0.2.0/24"], 1, "no lab is running"),
        (["announce", "192.0.2.0/24", "--lab", "x"], 1, "no lab 'x' is running"),
        (["announce", "192.0.2.0/24", "--url", "ftp://x", "--token", "t"], 1, "no URL of an API"),
        (["announce", "192.0.2.0/24", "--url", "http://127.0.0.1:1"], 1, "needs a token"),
        (["announce", "192.0.2.0/24", "--url", "http://127.0.0.1:1", "--token", "t"], 1, "does not answer"),
        (["prefixes", "list", "--url", "unix:/nowhere.sock", "--token", "t"], 1, "does not answer"),
        (["agent", "--site", "s", "--state-dir", "x", "--socket", "y", "--config", "/none"], 1, "/none"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(  # noqa: PLR0917 (parameters and fixtures)
    argv, status, says, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(argv) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("herald: ") and err.count("\n") == 1 and says in err


def test_nothing_typed_shows_what_there_is(capsys) -> None:
    assert run([]) == 2
    assert "announce" in capsys.readouterr().err
    assert run(["--version"]) == 0


def test_a_plugin_that_fails_breaks_no_other_command(capsys, monkeypatch) -> None:
    class Broken:
        name, value = "broken", "nowhere:register"

        def load(self):
            raise ImportError("no module nowhere")

    monkeypatch.setattr("controller.cli.app.entry_points", lambda group: [Broken()])
    assert run(["prefixes", "--help"]) == 0
    out, err = capsys.readouterr()
    assert "bind" in out and err.count("\n") == 1 and "'broken'" in err and "no module nowhere" in err


def test_the_console_script_is_ours() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="herald")
    assert script.value == "controller.cli:main"


# -- finding a lab ----------------------------------------------------------------------------------------
def lab(runtime: Path, name: str, topology: Path, *, alive: bool = True, socket: str = "") -> int | None:
    folder = runtime / name
    folder.mkdir(parents=True)
    inventory = Inventory(
        lab=name, topology=str(topology), folder=str(topology.parent / f"clab-{name}"), runtime=str(folder),
        instance="i", api_socket=socket, api_token="t", capture_socket="", nodes=(), sites=(),
    )  # fmt: skip
    (folder / "inventory.json").write_bytes(msgspec.json.encode(inventory))
    descriptor = os.open(folder / "lab.lock", os.O_RDWR | os.O_CREAT)
    if not alive:
        os.close(descriptor)
        return None
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def test_a_running_lab_is_found_and_a_dead_one_is_not(tmp_path, monkeypatch) -> None:
    runtime = tmp_path / "rt"
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(runtime))
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.chdir(tmp_path / "there")
    locks = [lab(runtime, "dead", there / "dead.clab.yml", alive=False)]
    with pytest.raises(NoLabError, match="no lab is running"):
        find.find_inventory(None)
    locks.append(lab(runtime, "one", here / "one.clab.yml"))
    assert find.find_inventory(None).lab == "one"
    locks.append(lab(runtime, "two", there / "two.clab.yml"))
    assert find.find_inventory(None).lab == "two"  # the only one under the current folder
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoLabError, match=r"--lab NAME.*one.*two"):
        find.find_inventory(None)
    for name in ("one", "here", "here/one.clab.yml", "here/clab-one"):
        assert find.find_inventory(name).lab == "one"
    with pytest.raises(NoLabError, match="no lab 'dead' is running: there are one"):
        find.find_inventory("dead")
    for descriptor in locks:
        if descriptor is not None:
            os.close(descriptor)


# -- against the API --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def api(tmp_path_factory):
    done = {"site1": {"state": "confirmed", "reason": ""}}
    with running_api(tmp_path_factory.mktemp("cli"), extra_routers=[change_sets("done", done)]) as running:
        furnished(running, cidr="198.18.0.0/22")
        yield running


@pytest.fixture
def herald(api: Api, monkeypatch, tmp_path, capsys):
    return speaker(api, monkeypatch, tmp_path, capsys)


def test_announce_and_withdraw_a_part_of_a_prefix(api: Api, herald) -> None:
    body, err = herald("announce", "198.18.1.0/24")
    assert (body["prefix"], body["account_id"], body["state"]) == ("198.18.1.0/24", "acme", "done")
    assert body["change_set"] == api.change_sets()[-1] and body["change_set"] in err
    assert body["sites"] == {"site1": {"state": "confirmed", "reason": ""}}
    assert body["observed"]["state"] == "unknown"
    prefix = api.client().whose("198.18.0.0/22").prefix_id
    shown = {b["cidr"]: b for b in api.client().bgp_prefixes("acme", prefix)}
    assert shown["198.18.1.0/24"]["id"] == body["bgp_prefix_id"]
    assert [c for c, b in shown.items() if b["on_demand"]["advertised"]] == ["198.18.1.0/24"]
    body, _ = herald("withdraw", "198.18.1.0/24", "--wait", "accepted")
    assert body["observed"] is None
    assert not api.client().bgp_prefix("acme", prefix, body["bgp_prefix_id"])["on_demand"]["advertised"]


def test_a_dry_run_changes_nothing(api: Api, herald) -> None:
    herald("announce", "198.18.0.0/22", "--site", "site1")
    before = api.counts()
    body, _ = herald("withdraw", "198.18.0.0/22", "--dry-run")
    assert (body["state"], body["change_set"]) == ("dry-run", None)
    assert body["sites"]["site1"]["state"] == "would withdraw"
    assert api.counts() == before


def test_sites_are_added_one_by_one(api: Api, herald) -> None:
    herald("withdraw", "198.18.0.0/22")
    for site, wanted in (("site2", ["site2"]), ("site1", ["site1", "site2"])):
        body, _ = herald("announce", "198.18.0.0/22", "--site", site)
        owner = api.client().whose("198.18.0.0/22")
        found = api.client().bgp_prefix(owner.account_id, owner.prefix_id, body["bgp_prefix_id"])
        assert found["configured"]["sites"] == wanted


def test_a_refusal_leaves_nothing_and_is_the_servers_word(api: Api, herald) -> None:
    before = api.counts()
    _, err = herald("announce", "198.18.2.0/24", "--site", "site9", status=1)
    assert err == "herald: unknown_site: no site is called 'site9': there are site1, site2\n"
    _, err = herald("announce", "9.9.9.0/24", status=1)
    assert "no onboarded prefix covers" in err
    _, err = herald("withdraw", "198.18.2.0/24", status=1)
    assert "nothing to withdraw" in err
    _, err = herald("announce", "198.18.2.0/24", "--account", "globex", status=1)
    assert "is account acme's" in err
    assert api.counts() == before


def test_a_site_that_waits_fails_the_command_and_says_that_it_goes_on(tmp_path, monkeypatch, capsys) -> None:
    waits = {"site1": {"state": "waiting", "reason": "1 of 2 machines holds the bindings"}}
    with running_api(tmp_path, extra_routers=[change_sets("rolling", waits)]) as api:
        furnished(api)
        body, err = speaker(api, monkeypatch, tmp_path, capsys)(
            "announce", "192.0.2.0/24", "--deadline", "0.1", status=1
        )
    assert body["state"] == "rolling" and body["sites"] == waits
    last = err.splitlines()[-1]
    assert last.startswith("herald: ") and "goes on" in last and "1 of 2 machines" in last


def test_a_failed_change_set_fails_the_command(tmp_path, monkeypatch, capsys) -> None:
    conflict = {"site1": {"state": "conflict", "reason": "the site holds another chunk"}}
    with running_api(tmp_path, extra_routers=[change_sets("failed", conflict)]) as api:
        furnished(api)
        _, err = speaker(api, monkeypatch, tmp_path, capsys)("announce", "192.0.2.0/24", status=1)
    assert "is failed" in err and "the site holds another chunk" in err


def test_the_resources(api: Api, herald) -> None:
    herald("accounts", "create", "Globex", "--id", "globex")
    made, _ = herald("prefixes", "create", "203.0.113.0/24", "--account", "globex", "--asn", "64511")
    assert (made["approved"], made["asn"]) == ("P", 64511)
    herald("prefixes", "edit", made["id"], "--description", "two")
    approved, _ = herald("prefixes", "approve", "203.0.113.0/24")
    assert approved["approved"] == "V" and approved["change_set"]
    herald("services", "create", "dns", "DNS")
    bound, _ = herald("prefixes", "bind", "203.0.113.0/24", "dns")
    assert bound["service_name"] == "DNS"
    herald("prefixes", "prepend", "203.0.113.0/24", "2")
    shown, _ = herald("prefixes", "show", "203.0.113.0/24")
    assert shown["description"] == "two" and shown["bgp_prefixes"][0]["asn_prepend_count"] == 2
    rows, _ = herald("prefixes", "list", "--account", "globex")
    assert {"id", "account_id", "cidr", "configured", "operational", "observed"} <= set(rows[0])
    herald("prefixes", "join", "203.0.113.0/24")
    herald("prefixes", "split", "203.0.113.0/24")
    herald("prefixes", "unbind", "203.0.113.0/24")
    assert {s["id"] for s in herald("services", "list")[0]} >= {"cdn", "dns"}
    assert {a["id"] for a in herald("accounts", "list")[0]} >= {"acme", "globex"}
    second, _ = herald("prefixes", "create", "100.64.0.0/24", "--account", "globex")
    herald("prefixes", "delete", second["id"])
    _, err = herald("prefixes", "create", "100.64.0.0/24", status=1)
    assert "which account?" in err
    token, _ = herald("tokens", "create", "--account", "globex", "--description", "bot")
    own, _ = herald("prefixes", "list", "--token", token["token"])
    assert {r["account_id"] for r in own} == {"globex"}
    herald("tokens", "revoke", token["id"])
    assert herald("tokens", "list")[0][-1]["revoked_at"]
    _, err = herald("prefixes", "list", "--token", token["token"], status=1)
    assert "authentication_error" in err


def test_tables_are_for_people(api: Api, herald, capsys) -> None:
    for argv in (["prefixes", "list"], ["prefixes", "show", "198.18.0.0/22"], ["accounts", "list"]):
        assert run(argv) == 0
        assert "acme" in capsys.readouterr().out


def test_ctrl_c_ends_with_130_and_no_traceback(api: Api, tmp_path: Path) -> None:
    """While it waits for a change-set that never ends."""
    with running_api(tmp_path, extra_routers=[change_sets("rolling", {})]) as slow:
        furnished(slow)
        code = "import sys; from controller.cli.app import run; sys.exit(run(sys.argv[1:]))"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "announce", "192.0.2.0/24", "--deadline", "60",
             "--url", f"unix:{slow.socket}", "--token", slow.token],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        assert "accepted" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "")  # no traceback; what was accepted has been said

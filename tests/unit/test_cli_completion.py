"""Completion in a real bash: commands, options, values from what runs; quietly nothing when nothing does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller.cli import completion
from tests.addressing_api import Api, furnished, running_api

BASH = shutil.which("bash")
PART = "198.18.1.0/24"
SIX = "2001:db8:1000::/48"

DRIVER = r"""
eval "$(herald --show-completion)"
IFS=$'\n' read -r -d '' line
COMP_LINE="$line" COMP_POINT=${#line} COMP_WORDS=() COMP_CWORD=0
_herald_completion herald
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("completion")) as running:
        furnished(running, cidr="198.18.0.0/22")
        client = running.client()
        client.create_bgp_prefix("acme", client.prefixes("acme")[0]["id"], PART)
        client.create_account("Globex", id="globex")
        client.create_prefix("globex", SIX)
        yield running


@pytest.fixture
def complete(tmp_path: Path, monkeypatch):
    """Return what bash offers for a line, and what anybody wrote to the terminal meanwhile."""
    if BASH is None:
        pytest.skip("no bash is here")
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SHELL", BASH)
    assert BASH is not None

    def call(line: str) -> tuple[set[str], str]:
        done = subprocess.run(
            [BASH, "--norc", "-c", DRIVER], input=line, capture_output=True, text=True, check=False
        )
        return set(done.stdout.split()), done.stderr

    return call


def running(api: Api, monkeypatch) -> None:
    monkeypatch.setenv("HERALD_URL", f"unix:{api.socket}")
    monkeypatch.setenv("HERALD_TOKEN", api.token)


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("herald bin", {"bindings"}),
        ("herald bindings de", {"delete"}),
        ("herald withdraw 198.18.0.0/22 --dr", {"--dry-run"}),
        ("herald bgp-prefixes change x --wait s", {"sent"}),
    ],
)
def test_commands_and_options_without_anything_running(complete, line: str, offers: set[str]) -> None:
    assert complete(line) == (offers, "")


@pytest.mark.parametrize("line", ["herald announce ", "herald prefixes list --account ", "herald lab "])
def test_without_a_lab_it_is_quiet(complete, line: str) -> None:
    found, err = complete(line)
    assert err == "" and (found == set() or "lab" in line)


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("herald announce ", {"198.18.0.0/22", PART, SIX}),
        ("herald withdraw 198.18.1", {PART}),
        ("herald prefixes show --account globex 2", {SIX}),
        # Bash has cut the word at the last colon, and puts what is offered behind it.
        ("herald announce 2001:db8:10", {"1000::/48"}),
        ("herald announce 2001:db8:1000::/48 --dr", {"--dry-run"}),
        ("herald prefixes list --account ", {"acme", "globex"}),
        ("herald bindings add 2001:db8:1000::/48 ", {"cdn"}),
    ],
)
def test_values_of_what_runs(api: Api, complete, monkeypatch, line: str, offers: set[str]) -> None:
    running(api, monkeypatch)
    assert complete(line) == (offers, "")


def test_a_refusal_and_a_dead_api_offer_nothing(api: Api, complete, monkeypatch) -> None:
    running(api, monkeypatch)
    monkeypatch.setenv("HERALD_TOKEN", "wrong")
    assert complete("herald announce ") == (set(), "")
    monkeypatch.setenv("HERALD_URL", "unix:/nowhere.sock")
    assert complete("herald announce ") == (set(), "")


def test_the_script_is_ours_wherever_typer_keeps_it(complete, capfd) -> None:
    completion.install()
    shown = subprocess.run(
        [BASH or "bash", "-c", "herald --show-completion; true"], capture_output=True, text=True, check=True
    ).stdout
    assert "COMP_LINE" in shown and "%(" not in shown


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_in_their_own_words(api: Api, complete, monkeypatch, shell: str) -> None:
    """Those shells are not here: what their scripts would call is called as they would."""
    running(api, monkeypatch)
    asked = {
        "_HERALD_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "herald announce 2001:db8:",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        ["herald"], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == ""
    assert SIX in done.stdout.replace("\\\\:", ":").replace("\\:", ":")

"""Every command has help, an example that its own parser takes, and a place in docs/cli.md."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path

import pytest
import typer

from controller.cli.app import build_app
from controller.cli.reference import commands, examples, reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
APP = build_app()
TOP = typer.main.get_command(APP)
COMMANDS = list(commands(TOP))


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(APP), "docs/cli.md is stale: scripts/generate-cli-docs"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(p) for p, _ in COMMANDS])
def test_a_command_has_help_and_an_example_of_its_own(path, command) -> None:
    first = inspect.cleandoc(command.help or "").partition("\n")[0]
    assert first and first[-1] in ".:", f"herald {' '.join(path)} has no help"
    given = examples(command)
    assert given, f"herald {' '.join(path)} has no example"
    for example in given:
        program, *words = shlex.split(example.partition(" | ")[0])
        assert program == "herald" and tuple(words[: len(path)]) == path, example
        # Refuses an option or an argument that the command does not take; asks nobody.
        command.make_context(" ".join(path), words[len(path) :])


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(p) for p, _ in COMMANDS])
def test_a_command_says_what_each_of_its_options_is(path, command) -> None:
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name == "help", (path, parameter.name)


def test_what_writes_can_be_tried_first_and_takes_a_reason() -> None:
    verbs = {"add", "change", "delete", "undelete", "approve", "announce", "withdraw", "transfer"}
    for path, command in COMMANDS:
        names = {o for p in command.params for o in p.opts}
        if path[-1] in verbs and path[0] not in ("lab", "store"):
            assert {"--dry-run", "--reason", "--json"} <= names, path

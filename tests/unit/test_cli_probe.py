"""``herald probe``: what it refuses before anything is sent, and its table."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from controller.bgp import Prefix
from controller.cli.app import run
from controller.cli.probe import table
from controller.observe.evidence import Probed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["192.0.2.1/24"], "host bits"),
        (["192.0.2.0/24", "--address", "192.0.3.1"], "'192.0.3.1' is no address in 192.0.2.0/24"),
        (["192.0.2.0/24", "--address", "2001:db8::1"], "is no address in"),
        (["192.0.2.0/24", "--address", "here"], "is no address in"),
    ],
)
def test_what_cannot_be_probed_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run(["probe", *words]) == 1
    assert says in capsys.readouterr().err


def test_each_neighbour_has_a_line() -> None:
    row = Probed(
        "t-bird",
        "site1",
        Prefix("192.0.2.0/24"),
        "answered",
        "timed-out",
        ("site1", "site2"),
        why="led: none",
    )
    out = StringIO()
    Console(file=out, width=200).print(table([row]))
    assert out.getvalue().splitlines()[1].split() == [
        "site1", "t-bird", "answered", "timed-out", "site1,", "site2", "led:", "none",
    ]  # fmt: skip

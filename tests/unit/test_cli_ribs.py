"""``herald ribs`` as a table: grouped, the best marked, addresses left as they are."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from controller.bgp import Prefix
from controller.cli.ribs import table
from controller.observe.rib import RibRow


def shown(rows: list[RibRow], *, sent: bool = False) -> list[list[str]]:
    out = StringIO()
    Console(file=out, width=200).print(table(rows, sent=sent))
    return [line.split() for line in out.getvalue().splitlines()]


def test_rows_are_grouped_by_prefix_and_node_and_sorted_by_prefix() -> None:
    four, six = Prefix("192.0.2.0/24"), Prefix("2001:db8::/48")
    rows = [
        RibRow("a", "bird", six, True, (64500, (1, 2)), "fd00::a:1", ("64500:1",), "o"),
        RibRow("a", "bird", four, True, (), None),
        RibRow("b", "frr", four, True, (65001,), "10.0.0.1", (), "a"),
        RibRow("b", "frr", four, False, (65003, 65001), "10.0.0.9", (), None),
    ]
    assert [line for line in shown(rows) if line][1:] == [
        ["192.0.2.0/24", "a", "bird", "*", "i", "local"],
        ["b", "frr", "*", "65001", "a", "10.0.0.1"],
        ["65003", "65001", "?", "10.0.0.9"],
        ["2001:db8::/48", "a", "bird", "*", "64500", "{1,2}", "o", "fd00::a:1", "64500:1"],
    ]


def test_an_ipv6_address_is_not_drawn_as_a_picture() -> None:
    row = RibRow("n", "bird", Prefix("2001:db8::/48"), True, (1,), "fd00:0:0:a:1:b:2:c", (), "x")
    assert "fd00:0:0:a:1:b:2:c" in shown([row])[-1]


def test_what_is_sent_goes_to_somebody() -> None:
    row = RibRow("site1", "gobgp", Prefix("192.0.2.0/24"), True, (64500,), "10.0.0.1", (), "t-frr")
    assert "to" in shown([row], sent=True)[0]
    assert "from" in shown([row])[0]

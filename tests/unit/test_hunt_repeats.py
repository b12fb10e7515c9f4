"""The spread of figures over several hunts."""

from __future__ import annotations

import random
from statistics import NormalDist

import msgspec
import pytest

from controller.bgp import Prefix
from labs.hunting.analysis import Back, Hunt
from labs.hunting.repeats import repeats, spread


def hunt(updates: int, **more: object) -> Hunt:
    return Hunt(
        prefix=Prefix("192.0.2.0/24"), strategy="plain", routers=3, withdrawn_at="", t_wire=updates / 1000,
        t_rib=None, t_data=None, updates=updates, withdrawals=2, paths_explored=1, longest_path=4, peers=(),
        mrt="", report=None, **more,  # type: ignore[arg-type]  # named by the tests
    )  # fmt: skip


def test_each_figure_that_all_hunts_have_has_its_spread() -> None:
    found = repeats([hunt(7, invalid=1), hunt(5, back=Back("Tup", 0.1, 3, 0, 2)), hunt(9)])
    assert found.times == 3
    assert msgspec.to_builtins(found.spread["updates"]) == {
        "least": 5, "median": 7, "most": 9, "low": None, "high": None
    }  # fmt: skip
    assert found.spread["t_wire"].median == 0.007
    assert found.spread.keys().isdisjoint({"t_rib", "t_data", "invalid", "back_t_wire"})


@pytest.mark.parametrize(("count", "low"), [(5, None), (6, 0), (9, 1), (10, 1), (20, 5)])
def test_the_interval_of_the_median_is_that_of_the_tables(count: int, low: int | None) -> None:
    """Ranks as in tables of the sign test: n = 10 takes the second and the ninth value."""
    found = spread(list(range(count)))
    assert (found.low, found.high) == ((None, None) if low is None else (low, count - 1 - low))


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    chance, held = random.Random(7), 0
    truth = NormalDist().inv_cdf(0.5)
    for _ in range(2000):
        found = spread([chance.gauss() for _ in range(10)])
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert held / 2000 >= 0.95

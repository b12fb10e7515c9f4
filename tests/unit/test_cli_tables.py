"""Tables that fit: what is left out, what is wrapped, what is never broken."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Written
from controller.cli.plan import effects, remarks
from controller.cli.tables import Head, fit, lines, record, wrap

HEADS = (Head("prefix"), Head("account", rank=1), Head("seen", rank=2), Head("description", 3, wraps=True))
ROWS = [
    ["192.0.2.0/24", "acme", "4/4", "Web servers of the shop in Amsterdam"],
    ["2001:db8:1000::/48", "globex", "", "日本語の説明文"],
]


def shown(width: int | None) -> list[str]:
    fitted = fit(HEADS, ROWS, width)
    return [line for row in ROWS for line in lines([row[i] for i in fitted.shown], fitted.widths)]


def test_nothing_is_cut_where_there_is_room_or_no_terminal() -> None:
    assert shown(None) == shown(200)
    assert shown(None)[0].endswith("Web servers of the shop in Amsterdam")


def test_running_text_is_wrapped_before_a_column_is_left_out() -> None:
    fitted = fit(HEADS, ROWS, 60)
    assert fitted.left_out == () and len(shown(60)) == 3
    assert max(map(cell_len, shown(60))) <= 60


def test_the_least_important_columns_go_first_and_empty_ones_before_them() -> None:
    assert fit(HEADS, ROWS, 40).left_out == ("description",)
    assert fit(HEADS, ROWS, 28).left_out == ("seen", "description")
    assert fit(HEADS, ROWS, 20).left_out == ("account", "seen", "description")
    empty = [[row[0], "", *row[2:]] for row in ROWS]
    assert fit(HEADS, empty, 50).left_out == ("account",)


def test_what_cannot_be_left_out_is_not_broken_but_becomes_a_record() -> None:
    fitted = fit(HEADS, ROWS, 10)
    assert not fitted.fits
    assert list(record([("prefix", "2001:db8:1000::/48"), ("account", "acme"), ("seen", "")], 20)) == [
        "prefix", "  2001:db8:1000::/48", "account  acme",
    ]  # fmt: skip


def test_wide_characters_count_as_the_cells_that_they_take() -> None:
    assert wrap("日本語の説明文", 6) == ["日本語", "の説明", "文"]
    assert list(lines(["日本", "x"], [6, 1])) == ["日本    x"]


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), max_size=30)


@given(st.lists(st.lists(words, min_size=4, max_size=4), max_size=5), st.integers(1, 120))
def test_no_line_is_longer_than_the_terminal(rows, width: int) -> None:
    fitted = fit(HEADS, rows, width)
    if fitted.fits:
        for row in rows:
            for line in lines([row[i] for i in fitted.shown], fitted.widths):
                assert cell_len(line) <= width


@given(st.text(), st.integers(1, 50))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


# -- cells ------------------------------------------------------------------------------------------------
@given(st.text())
def test_nothing_that_a_terminal_acts_on_is_printed(text: str) -> None:
    assert cells.plain(text).isprintable()


def test_an_escape_sequence_in_a_name_is_written_out() -> None:
    assert cells.plain("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb c\\u202e"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (0, "0"),
        (["a", None, 1], "a, , 1"), ({"a": [True]}, "a: yes"),
    ],
)  # fmt: skip
def test_values_in_words(value, text) -> None:
    assert cells.text(value) == text


def test_times_are_local_to_the_second_and_anything_else_stays() -> None:
    east = timezone(timedelta(hours=2))
    assert cells.time("2026-11-24T23:36:47.391842Z", east) == "2026-11-25 01:36:47"
    assert cells.time("0001-01-01T00:00:00+10:00", UTC) == "0001-01-01T00:00:00+10:00"
    assert cells.time("soon") == "soon" and cells.time(None) == "" and cells.zoned("soon") == "soon"


@pytest.mark.parametrize("row", [{}, {"a": None}, {"a": 3}, {"a": {"b": None}}, {"a": []}])
def test_a_field_that_is_not_there_is_shown_as_nothing(row) -> None:
    assert Column("b", "a.b").cell(row) == ""


# -- answers ----------------------------------------------------------------------------------------------
def test_the_json_of_a_write_has_what_headers_said() -> None:
    done = Done(Written({"id": "x"}, ("c1", "c2"), "tag"), "done", also={"cidr": "c"})
    assert done.body == {
        "id": "x", "cidr": "c", "change_set": "c1", "change_sets": ["c1", "c2"], "etag": "tag",
    }  # fmt: skip
    assert Done(Written({}), "").body == {"change_set": None}
    assert Card({}, ()).parts == ()


def test_sites_at_which_the_same_happens_share_a_row() -> None:
    def effect(site: str, verb: str, cidr: str) -> dict:
        kind = "additive" if verb in ("announce", "bind") else "subtractive"
        return {"site": site, "verb": verb, "cidr": cidr, "kind": kind}

    plan = {
        "share": {"fleet": 0.25, "accounts": 1.0},
        "change_sets": [
            {
                "account_id": "acme",
                "problem": None,
                "effects": [
                    effect("a", "withdraw", "p1"), effect("a", "withdraw", "p2"),
                    effect("b", "withdraw", "p1"), effect("b", "withdraw", "p2"),
                    effect("c", "announce", "p1"),
                ],
            },
        ],
    }  # fmt: skip
    assert [(r["sites"], r["verb"], r["cidrs"]) for r in effects(plan).rows] == [
        (["a", "b"], "withdraw", ("p1", "p2")), (["c"], "announce", ("p1",)),
    ]  # fmt: skip
    assert list(remarks(plan)) == [
        "It would withdraw 100 % of what the account advertises, 25 % of what everybody does."
    ]

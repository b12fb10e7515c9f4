"""Tables of plain text that fit a width (pure).

Too wide, running text is wrapped first; then columns are left out, empty ones and those of the highest rank
first. An id or a prefix is never broken: where even what must be shown is too wide, rows become records, a
line for each field. Without a width nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

GAP = 2
READABLE = 16
"""Cells below which running text is not squeezed while another column can be left out."""
LEAST = 8
"""Cells that running text keeps in the end."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column's title, and what may be done to it (see :class:`controller.cli.answers.Column`)."""

    title: str
    rank: int = 0
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns shown, with their widths in cells, and the titles of those left out.

    ``fits`` false: the terminal is too narrow for a table of them.
    """

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]
    fits: bool = True


def fit(heads: Sequence[Head], rows: Sequence[Sequence[str]], width: int | None) -> Fitted:
    """Return which columns are shown in ``width`` cells, and how wide each is."""
    longest = [max(map(cell_len, column)) for column in zip(*rows, strict=True)] if rows else [0] * len(heads)
    natural = [max(cell_len(h.title), n) for h, n in zip(heads, longest, strict=True)]
    shown, left_out = list(range(len(heads))), []
    if width is None:
        return Fitted(tuple(shown), tuple(natural), ())
    while _total([_floor(heads[i], natural[i]) for i in shown]) > width:
        # Of equals the last goes first; a column that says nothing goes before any that does.
        spare = [i for i in shown if heads[i].rank > 0]
        if not spare or len(shown) == 1:
            break
        goes = max(spare, key=lambda i: (longest[i] == 0, heads[i].rank, i))
        shown.remove(goes)
        left_out.append(goes)
    widths = _squeeze([natural[i] for i in shown], [heads[i].wraps for i in shown], width)
    titles = tuple(heads[i].title for i in sorted(left_out))
    return Fitted(tuple(shown), tuple(widths), titles, fits=_total(widths) <= width)


def lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield one row's lines: each cell in its column, wrapped where it is longer."""
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, wrapped), default=0)):
        parts = (column[number] if number < len(column) else "" for column in wrapped)
        padded = (p + " " * (w - cell_len(p)) for p, w in zip(parts, widths, strict=True))
        yield (" " * GAP).join(padded).rstrip()


def record(facts: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Yield a line for each title and value that is not empty, and more where running text needs them.

    A value without spaces that does not fit beside its title stands below it, whole.
    """
    facts = [(title, value) for title, value in facts if value]
    titles = max((cell_len(title) for title, _ in facts), default=0)
    for title, value in facts:
        room = cell_len(value) if width is None else max(width - titles - GAP, LEAST)
        if " " not in value and cell_len(value) > room:
            yield from (title, f"  {value}")
        else:
            yield from lines((title, value), (titles, room))


def wrap(cell: str, width: int) -> list[str]:
    """Return ``cell`` in lines of at most ``width`` cells, broken at spaces where there are any."""
    if cell_len(cell) <= width:
        return [cell]
    found = [""]
    for word in cell.split(" "):
        longer = f"{found[-1]} {word}" if found[-1] else word
        if cell_len(longer) <= width:
            found[-1] = longer
            continue
        pieces = chop_cells(word, width) if cell_len(word) > width else [word]
        found[-1:] = [found[-1], *pieces] if found[-1] else pieces
    return found


def _floor(head: Head, natural: int) -> int:
    return min(natural, READABLE) if head.wraps else natural


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _squeeze(widths: list[int], wraps: Sequence[bool], width: int) -> list[int]:
    """Take from running text, the widest first, until the row fits or nothing can give."""
    for least in (READABLE, LEAST):
        while _total(widths) > width:
            can = [i for i, w in enumerate(widths) if wraps[i] and w > least]
            if not can:
                break
            widths[max(can, key=lambda i: widths[i])] -= 1
    return widths

"""``python -m controller.addressing.life_diagram FILE``: draws the life of a prefix into a page."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.addressing.life import diagram

BEGIN, END = "<!-- from the table: do not edit -->", "<!-- end -->"


def drawn(page: str) -> str:
    """Return ``page`` with the diagram between its two marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n```mermaid\n{diagram()}```\n{END}{tail}"


if __name__ == "__main__":
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/life-of-a-prefix.md")
    file.write_text(drawn(file.read_text()))

"""``python -m controller.rollout.diagram [FILE]``: draws the whole's table into docs/rollouts.md."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.rollout.states import OVER, ROLLOUT_TABLE, Progress, RolloutState

BEGIN, END = "<!-- from the table: do not edit -->", "<!-- end -->"


def diagram() -> str:
    """Return the table as a Mermaid state diagram, without what leaves a state as it is."""
    lines = ["stateDiagram-v2", f"    [*] --> {RolloutState.PLANNED.value}"]
    for state, row in ROLLOUT_TABLE.items():
        by_target: dict[RolloutState, list[str]] = {}
        for event in Progress:
            if row[event] is not state:
                by_target.setdefault(row[event], []).append(event.value)
        lines += [f"    {state.value} --> {to.value}: {', '.join(by)}" for to, by in by_target.items()]
    lines += [f"    {state.value} --> [*]" for state in RolloutState if state in OVER]
    return "\n".join(lines) + "\n"


def drawn(page: str) -> str:
    """Return ``page`` with the diagram between its two marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n```mermaid\n{diagram()}```\n{END}{tail}"


if __name__ == "__main__":
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/rollouts.md")
    file.write_text(drawn(file.read_text()))

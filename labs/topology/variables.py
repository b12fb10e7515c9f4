"""Variables in a topology's text, as containerlab replaces them before it reads the YAML (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from labs.topology.errors import Problem

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?[=-])(?P<default>[^}]*))?\}")


def substitute(text: str, file: Path, variables: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """Return ``text`` with ``${NAME}``, ``${NAME:=default}`` and ``${NAME:-default}`` replaced.

    A variable without value and default is a problem, and so are templates (``{{``). Lines stay where
    they are; comments are left alone.
    """
    problems: list[Problem] = []
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.split(" #", 1)[0] if not line.lstrip().startswith("#") else ""
        if "{{" in code:
            what = "templates ({{ … }}) are not supported: write the file out, or use ${VARIABLE:=default}"
            problems.append(Problem(file, number, "", what))

        def value(match: re.Match[str], number: int = number) -> str:
            name, how, default = match["name"], match["how"], match["default"]
            given = variables.get(name)
            if given or (given is not None and (how is None or not how.startswith(":"))):
                return given
            if how is None:
                what = f"${{{name}}} is not set: set it, or give a default: ${{{name}:=value}}"
                problems.append(Problem(file, number, "", what))
                return ""
            return str(default)

        lines.append(_VARIABLE.sub(value, code) + line[len(code) :])
    return "\n".join(lines) + "\n", problems

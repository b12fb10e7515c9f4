"""Variables in a topology's text, as containerlab replaces them before it reads the YAML (pure).

``${NAME}``, ``${NAME:=default}``, ``${NAME:-default}`` (the same), and their forms without the colon, where
a variable that is set and empty counts as set. ``$NAME`` is replaced when it is set, else left for a shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from labs.topology.errors import Problem

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(
    rf"\$\{{(?P<braced>{_NAME})(?:(?P<how>:?[=-])(?P<default>[^}}]*))?\}}"
    rf"|\$(?P<bare>{_NAME})"
    r"|(?P<other>\$\{[^}]*\}?)"
)
_BREAKS = re.compile(r"[\r\n\x85\u2028\u2029]")


def substitute(text: str, file: Path, variables: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """Return ``text`` with its variables replaced, each line where it was, and what is wrong with them.

    Wrong are: a variable in braces without value and default, a value with a line break, another form in
    braces, and templates (``{{``). What stands in a comment is no problem.
    """
    found: list[Problem] = []
    lines = [
        _line(line, file, number, variables, found) if "$" in line or "{{" in line else line
        for number, line in enumerate(text.split("\n"), start=1)
    ]
    return "\n".join(lines), found


def _line(line: str, file: Path, number: int, variables: Mapping[str, str], found: list[Problem]) -> str:
    comment = comment_start(line)

    def wrong(position: int, what: str) -> None:
        if position < comment:
            found.append(Problem(file, number, "", what))

    def value(match: re.Match[str]) -> str:
        if match["other"] is not None:
            form = match["other"]
            wrong(match.start(), f"{form} is not supported; allowed: ${{NAME}}, ${{NAME:=default}}")
            return form
        name, how = match["braced"] or match["bare"], match["how"]
        given = variables.get(name)
        if given or (given is not None and not (how or "").startswith(":")):
            if _BREAKS.search(given):
                wrong(match.start(), f"the value of {name} has a line break; allowed: one line")
                return ""
            return given
        if how is not None:
            return str(match["default"])
        if match["braced"] is not None:
            what = f"${{{name}}} is not set: set it, or give a default: ${{{name}:=value}}"
            wrong(match.start(), what)
        return match[0]

    template = line.find("{{")
    if template >= 0:
        what = "templates ({{ … }}) are not supported: write the file out, or use ${VARIABLE:=default}"
        wrong(template, what)
    return _VARIABLE.sub(value, line)


def comment_start(line: str) -> int:
    """Return where a line's comment begins, its length if it has none.

    A ``#`` at the beginning or after white space, outside of quotes that open and close in this line.
    """
    quote, before = "", " "
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote and before != "\\" else quote
        elif character in "'\"" and before in " \t[{,:-":
            quote = character
        elif character == "#" and before in " \t":
            return position
        before = character
    return len(line)

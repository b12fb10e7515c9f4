"""YAML to plain values, with the line of every key kept (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labs.topology.errors import Problem

Place = tuple[str | int, ...]
"""Where in the document: keys and indices from the root."""


@dataclass(slots=True)
class Marked:
    """A document's values, and the line (from 1) of each place in it."""

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Place) -> int:
        """Return the line of ``place``, or of the nearest place around it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_marked(text: str, file: Path, problems: list[Problem]) -> Marked:
    """Read one YAML document. What is wrong with it is added to ``problems``: syntax, a key given twice,
    an anchor that contains itself, a value that YAML cannot make.
    """
    marked = Marked(None)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        problems.append(_syntax(error, file))
        return marked
    if root is None:
        return marked
    marked.value = _Reader(marked, file, problems).read(root, (), ())
    return marked


def _syntax(error: yaml.YAMLError, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    line = mark.line + 1 if mark is not None else 1
    return Problem(file, line, "", f"not valid YAML: {' '.join(str(what).split())}")


class _Reader:
    def __init__(self, marked: Marked, file: Path, problems: list[Problem]) -> None:
        self.marked = marked
        self.file = file
        self.problems = problems
        self.loader = yaml.SafeLoader("")

    def read(self, node: yaml.Node, place: Place, around: tuple[int, ...]) -> Any:
        line = node.start_mark.line + 1
        self.marked.lines.setdefault(place, line)
        if id(node) in around:
            self.problems.append(Problem(self.file, line, _dotted(place), "an alias contains itself"))
            return None
        around = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place, around)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*place, i), around) for i, child in enumerate(node.value)]
        try:
            value: Any = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self.problems.append(Problem(self.file, line, _dotted(place), f"not a value: {error}"))
            return None
        return value

    def mapping(self, node: yaml.MappingNode, place: Place, around: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(self.file, line, _dotted(place), "a key must be plain text"))
                continue
            key = str(key_node.value)
            if key == "<<":
                merged = self.read(value_node, (*place, key), around)
                for part in merged if isinstance(merged, list) else [merged]:
                    if isinstance(part, dict):
                        result = {**part, **result}
                continue
            here = (*place, key)
            if here in self.marked.lines and key in result:
                first = self.marked.lines[here]
                what = f"given twice (first in line {first}): keep one"
                self.problems.append(Problem(self.file, line, _dotted(here), what))
                continue
            self.marked.lines[here] = line
            result[key] = self.read(value_node, here, around)
        return result


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)

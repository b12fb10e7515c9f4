"""YAML to plain values, with the line of every key kept (pure).

Values are what JSON has, too: text, whole numbers of 64 bits, finite numbers, true, false, null, lists and
maps with text as keys. What YAML would quietly make of other text (dates, bytes, sets) is a problem.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labs.topology.errors import Problem

Place = tuple[str | int, ...]
"""Where in the document: keys and indices from the root."""

DEEPEST = 40
"""Levels of nesting that are read; no topology has a dozen."""
MOST_VALUES = 500_000
"""Values that are read, with those that aliases repeat: a few lines of aliases can stand for billions."""
TEXT_MAPS = ("env", "labels", "sysctls")
"""Maps from text to text: ``1.10`` and ``yes`` are kept as they are written."""

# libyaml's parser is 15 times faster; PyYAML's wheels have it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "map", "seq", "merge")
}
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


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


def dotted(place: Place) -> str:
    """Return a place as people read it: ``topology.nodes.a``."""
    return ".".join(str(part) for part in place)


def read_marked(text: str, file: Path, problems: list[Problem]) -> Marked:
    """Read one YAML document. What is wrong with it is added to ``problems``: syntax, a key given twice,
    an alias that contains itself, too much nesting, a value that is not plain.
    """
    marked = Marked(None)
    control = _CONTROL.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        problems.append(Problem(file, line, "", f"not valid YAML: the control character {control[0]!r}"))
        return marked
    try:
        too_deep = _too_deep(text)
        if too_deep is not None:
            problems.append(Problem(file, too_deep, "", f"nested too deeply; allowed: {DEEPEST} levels"))
            return marked
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        problems.append(_syntax(error, file))
        return marked
    if root is not None:
        marked.value = _Reader(marked, file, problems).read(root, (), ())
    return marked


def _too_deep(text: str) -> int | None:
    """Return the line at which nesting exceeds :data:`DEEPEST`; to compose more could exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                return 1 if event.start_mark is None else int(event.start_mark.line) + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _syntax(error: yaml.YAMLError, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    line = mark.line + 1 if mark is not None else 1
    return Problem(file, line, "", f"not valid YAML: {' '.join(str(what).split())}")


def _is_text_map(place: Place) -> bool:
    match place:
        case ("topology", "defaults", key):
            return key in TEXT_MAPS
        case ("topology", "nodes" | "kinds" | "groups" | "links", _, key):
            return key in TEXT_MAPS
    return False


class _Reader:
    def __init__(self, marked: Marked, file: Path, problems: list[Problem]) -> None:
        self.marked = marked
        self.file = file
        self.problems = problems
        self.loader = yaml.SafeLoader("")
        self.left = MOST_VALUES

    def wrong(self, line: int, place: Place, what: str) -> None:
        self.problems.append(Problem(self.file, line, dotted(place), what))

    def read(self, node: yaml.Node, place: Place, around: tuple[int, ...], *, text: bool = False) -> Any:
        line = node.start_mark.line + 1
        self.marked.lines.setdefault(place, line)
        self.left -= 1
        if self.left <= 0:
            if self.left == 0:
                self.wrong(line, place, f"aliases stand for too much; allowed: {MOST_VALUES} values in all")
            return None
        if id(node) in around:
            self.wrong(line, place, "an alias contains itself")
            return None
        if node.tag not in _PLAIN_TAGS and not (text and isinstance(node, yaml.ScalarNode)):
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            self.wrong(
                line, place, f"YAML takes this for {kind!r}; allowed: plain values, so put it in quotes"
            )
            return None
        around = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place, around)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*place, i), around) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node, line, place, text=text)

    def scalar(self, node: yaml.ScalarNode, line: int, place: Place, *, text: bool) -> Any:
        if _UNUSABLE.search(node.value):
            self.wrong(line, place, "has a character that no file name or command can have (NUL, surrogate)")
            return None
        if text and not node.tag.endswith(":null"):
            return node.value
        try:
            value: Any = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            what = getattr(error, "problem", None) or error
            self.wrong(line, place, f"not a value: {what}; put it in quotes")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(line, place, f"{node.value!r} is no finite number")
            return None
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            self.wrong(line, place, "the number is too large; allowed: 64 bits")
            return None
        return value

    def mapping(self, node: yaml.MappingNode, place: Place, around: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        text = _is_text_map(place)
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or _UNUSABLE.search(key_node.value):
                self.wrong(line, place, "a key must be plain text")
                continue
            key = str(key_node.value)
            here = (*place, key)
            if key_node.tag.endswith(":merge"):
                for key_below, value in self.merge(value_node, here, around).items():
                    merged.setdefault(key_below, value)
                continue
            if key in result:
                what = f"given twice (first in line {self.marked.lines[here]}): keep one"
                self.wrong(line, here, what)
                continue
            self.marked.lines[here] = line
            result[key] = self.read(value_node, here, around, text=text)
        return {**merged, **result}

    def merge(self, node: yaml.Node, place: Place, around: tuple[int, ...]) -> dict[str, Any]:
        """Read what ``<<`` takes over: a map, or several, of which the first counts."""
        value = self.read(node, place, around)
        result: dict[str, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                self.wrong(node.start_mark.line + 1, place, "takes over a map, or a list of maps, only")
                continue
            for key in part:
                self.marked.lines.setdefault((*place[:-1], key), self.marked.line((*place, key)))
            result = {**part, **result}
        return result

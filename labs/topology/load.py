"""Read one topology file into the model, collecting everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from labs.topology.build import Builder
from labs.topology.errors import Problem, TopologyError
from labs.topology.explain import validate
from labs.topology.marks import Place, dotted, read_marked
from labs.topology.model import Topology
from labs.topology.variables import substitute

LARGEST_FILE = 8 * 1024 * 1024
"""Bytes; a ring of 250 routers has 0.1 MiB."""


def load(path: Path, variables: Mapping[str, str] | None) -> Topology:
    """Read ``path``; see :func:`labs.topology.load_topology`."""
    values = os.environ if variables is None else {**os.environ, **variables}
    path = _file(path)
    text, problems = substitute(_read(path), path, values)
    marked = read_marked(text, path, problems)
    if not isinstance(marked.value, dict):
        if not problems:
            problems.append(Problem(path, 1, "", "not a topology: it needs the keys name and topology"))
        raise TopologyError.of(problems)

    told = {problem.key for problem in problems}

    def note(place: Place, message: str) -> None:
        if dotted(place) not in told or not place:
            problems.append(Problem(path, marked.line(place), dotted(place), message))

    document, left_out = validate(marked.value, note)
    if document is None:
        raise TopologyError.of(problems)
    builder = Builder(path, marked, document, left_out)
    topology = builder.build(text)
    problems += builder.problems
    if problems or topology is None:
        raise TopologyError.of(problems)
    return topology


def _file(path: Path) -> Path:
    """Return the topology file that ``path`` is, or the only one in the folder that it is."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.clab.yml")) + sorted(path.glob("*.clab.yaml"))
    if len(found) == 1:
        return found[0]
    there = ", ".join(file.name for file in found) or "none"
    raise TopologyError(f"{path} is a folder with {len(found)} topology files ({there}): name one")


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TopologyError(f"cannot read the topology {path}: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise TopologyError(f"{path} has {len(data)} bytes; a topology has at most {LARGEST_FILE}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TopologyError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error

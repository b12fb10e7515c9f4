"""containerlab's YAML, read strictly into one model; generators of whole labs.

``variables`` → ``marks`` (lines of keys) → ``schema`` (what is allowed), ``explain`` → ``inherit`` →
``check`` → ``build`` → ``model``. Pure, except ``load`` (the file), ``build`` (what is bound), generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labs.topology.errors import Problem, TopologyError
from labs.topology.model import Topology

__all__ = ["Problem", "Topology", "TopologyError", "load_topology"]


def load_topology(path: Path, variables: Mapping[str, str] | None = None) -> Topology:
    """Read a topology file; ``variables`` (default: the environment) replace ``${NAME}`` in it.

    Raises :class:`TopologyError` that tells of everything that is wrong, a line each:
    ``FILE:LINE: KEY: what is wrong; what is allowed``.
    """
    from labs.topology.load import load  # noqa: PLC0415  (YAML and pydantic: only where a file is read)

    return load(path, variables)

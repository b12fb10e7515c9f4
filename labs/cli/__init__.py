"""The laboratory's commands, added to ``herald`` by the entry-point group ``herald.commands``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add ``herald lab …`` and ``herald hunt`` to ``app``."""
    from labs.cli.lab import lab  # noqa: PLC0415  (every command of herald passes here)

    app.add_typer(lab, name="lab")
    if find_spec("labs.hunting.cli") is not None:
        from labs.hunting.cli import register as register_hunt  # noqa: PLC0415

        register_hunt(app)

"""How far a lab has come, on stderr: one line that moves on a terminal, a line a phase elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from labs.runtimes.wire import Progress


class Display:
    """Shows :class:`Progress`; a context manager. ``silent`` (for ``--json``): nothing but warnings."""

    def __init__(self, *, silent: bool) -> None:
        from rich.console import Console  # noqa: PLC0415  (start-up of every command)

        self._silent = silent
        self._console = Console(stderr=True, highlight=False)
        self._moving = not silent and self._console.is_terminal
        self._status = self._console.status("starting", spinner="dots") if self._moving else None

    def __enter__(self) -> Display:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def progress(self, progress: Progress) -> None:
        """Show how far a phase has come; a finished one stays on the screen."""
        counts = f" {progress.done}/{progress.total}" if progress.total else ""
        if self._status is not None:
            self._status.update(f"{progress.phase}{counts}")
        if not self._silent and progress.done == progress.total:
            self._console.print(f"  {progress.phase}{counts}", style="dim")

    def warning(self, text: str) -> None:
        """Show a warning."""
        if self._moving:
            self._console.print(f"warning: {text}", style="yellow", soft_wrap=True)
        else:
            print(f"warning: {text}", file=sys.stderr)

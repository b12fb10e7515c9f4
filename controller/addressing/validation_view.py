"""What endpoints know of validation: its configuration, and whom to wake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.validation.config import NO_SOURCE, ValidationConfig
from controller.validation.errors import ValidationError
from controller.validation.feeds import FeedReport


class Validation(Protocol):
    """Whoever does the checks."""

    @property
    def config(self) -> ValidationConfig:
        """The sources, and what follows from their answers."""
        ...

    def wake(self) -> None:
        """Look at what is due now; called after a commit, in any thread, and never raises."""
        ...

    def report(self) -> Sequence[FeedReport]:
        """Return the sources of VRPs as they are; called in any thread."""
        ...

    def accept(self, source: str, count: int) -> None:
        """Take a refused set of VRPs; raises :class:`ValidationError`. Not called in the event loop."""
        ...


class NoSources:
    """Validation without a source: every check stays pending. ``config`` may say more, for tests."""

    def __init__(self, config: ValidationConfig | None = None) -> None:
        self._config = config or ValidationConfig()

    @property
    def config(self) -> ValidationConfig:
        """Nothing, unless it was given."""
        return self._config

    def wake(self) -> None:
        """Do nothing."""

    def report(self) -> Sequence[FeedReport]:
        """Return nothing."""
        return ()

    def accept(self, source: str, count: int) -> None:
        """Refuse."""
        raise ValidationError(NO_SOURCE)

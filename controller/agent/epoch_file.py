"""The second place: a small file that says how far the journal is, away from the journal's own disk."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog

from controller.agent.epoch import Reached, reached
from controller.agent.journal_records import JournalState

log = structlog.get_logger()


class EpochFile:
    """Written after each append to the journal, so that it is never ahead of it."""

    def __init__(self, folder: Path, site: str) -> None:
        self._path = folder / f"{site}.epoch"
        self._complained = False

    def read(self) -> Reached | None:
        """Return what was reached; None when nobody knows (a first start, or a reboot of a tmpfs)."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Reached, strict=True)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("the epoch's second place cannot be read", path=str(self._path), reason=str(error))
            return None

    def write(self, state: JournalState) -> None:
        """Keep how far the journal is; a failure is said once, and holds nothing up."""
        self.keep(reached(state))

    def keep(self, known: Reached) -> None:
        """Keep how far a journal was, as :meth:`write` does."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(known))
            fresh.replace(self._path)
        except OSError as error:
            if not self._complained:
                log.warning(
                    "the epoch's second place is not written", path=str(self._path), reason=str(error)
                )
            self._complained = True

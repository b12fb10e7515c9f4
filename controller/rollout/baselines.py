"""What was seen before a wave, on disk: a controller that restarts in mid-wave still has it to compare."""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from controller.observe.evidence import Moment

KEPT = 200
"""Baselines that are kept; a roll-out that is judged later than so many others has none any more."""

log = structlog.get_logger()


class Baselines:
    """One file for each wave of each roll-out, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory: dict[str, Moment] = {}

    def keep(self, rollout_id: str, wave: int, moment: Moment) -> None:
        """Keep ``moment``; a disk that refuses is told in the log, and memory serves until a restart."""
        name = _name(rollout_id, wave)
        self._memory[name] = moment
        while len(self._memory) > KEPT:
            del self._memory[next(iter(self._memory))]
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._folder / f".{name}"
            part.write_bytes(msgspec.msgpack.encode(moment))
            part.replace(self._folder / name)
            self._prune()
        except OSError as error:
            log.warning("a baseline is kept in memory alone", rollout=rollout_id, reason=error.strerror)

    def of(self, rollout_id: str, wave: int) -> Moment | None:
        """Return what was kept; None: nothing, or nothing that can be read."""
        name = _name(rollout_id, wave)
        if name in self._memory:
            return self._memory[name]
        try:
            return msgspec.msgpack.decode((self._folder / name).read_bytes(), type=Moment)
        except (OSError, msgspec.MsgspecError):
            return None

    def _prune(self) -> None:
        files = sorted(self._folder.glob("*-*"), key=lambda p: p.stat().st_mtime)
        for file in files[:-KEPT]:
            file.unlink(missing_ok=True)


def _name(rollout_id: str, wave: int) -> str:
    return f"{rollout_id}-{wave}"

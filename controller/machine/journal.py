"""The one file that a machine restarts from: its last set of bindings, replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from controller.machine.bindings import EMPTY, hash_bindings
from controller.machine.errors import MachineJournalError
from controller.transport.messages import BindingSet


def read_bindings(path: Path) -> BindingSet:
    """Return the set on disk, the empty one when there is no file.

    Raises :class:`MachineJournalError` for a damaged file: the kernel's routes are better than a guess.
    """
    try:
        held = msgspec.json.decode(path.read_bytes(), type=BindingSet, strict=True)
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise MachineJournalError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise MachineJournalError(
            f"{path} is damaged ({error}): remove it, and the agent sends all"
        ) from error
    if held.hash != hash_bindings(held.bindings):
        raise MachineJournalError(
            f"{path} is damaged (its hash does not fit): remove it, the agent sends all"
        )
    return held


def write_bindings(path: Path, bindings: BindingSet) -> None:
    """Put the set on disk, synced; raises :class:`MachineJournalError`."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(bindings))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise MachineJournalError(f"cannot write {path}: {error.strerror}") from error

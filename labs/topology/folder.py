"""Where a lab's own files go: ``clab-<lab>`` beside the topology, as containerlab's users expect."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def lab_folder(topology: Path, name: str) -> Path:
    """Return the folder for a lab's logs and state (not made here).

    A topology that lies where its reader may not write (a shared checkout) gets one among the user's own
    state files: ``$XDG_STATE_HOME/herald/<8 hex>/clab-<lab>``, the hex from the topology's path.
    """
    beside = topology.resolve().parent
    folder = beside / f"clab-{name}"
    if os.access(folder if folder.exists() else beside, os.W_OK):
        return folder
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    digest = hashlib.sha256(str(topology.resolve()).encode()).hexdigest()[:8]
    return state / "herald" / digest / f"clab-{name}"

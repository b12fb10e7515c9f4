"""Where running instances leave their sockets, so that commands find them without a URL or a token.

Unix socket paths end at 107 bytes, so sockets live in a short directory of the user's own:
``/tmp/herald-<uid>/<8 hex>/`` (``HERALD_RUNTIME_DIR`` names another parent). The hex comes from the lab
folder's path.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from controller.errors import HeraldError

SOCKET_PATH_LIMIT = 107
"""Bytes in a unix socket's path that Linux accepts (``sun_path`` less its terminator)."""


class LocationError(HeraldError):
    """The runtime directory cannot be used."""


def runtime_root() -> Path:
    """Return the parent of all runtime directories of this user, made with mode 0700.

    Raises :class:`LocationError` when it exists and belongs to somebody else.
    """
    named = os.environ.get("HERALD_RUNTIME_DIR")
    root = Path(named) if named else Path(f"/tmp/herald-{os.getuid()}")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise LocationError(f"{root} belongs to another user: set HERALD_RUNTIME_DIR to a folder of yours")
    return root


def runtime_dir(lab_folder: Path) -> Path:
    """Return (without making it) the runtime directory of the lab whose files lie in ``lab_folder``."""
    digest = hashlib.sha256(str(lab_folder.resolve()).encode()).hexdigest()
    return runtime_root() / digest[:8]

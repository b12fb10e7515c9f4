"""The public keys that the agent believes, read anew whenever their file changes."""

from __future__ import annotations

from pathlib import Path

import structlog

from controller.agent.config import AgentConfigError, AgentKeys, read_agent_keys

log = structlog.get_logger()


class KeyFile:
    """The keys in one file; none without a file. One that cannot be read leaves the keys of before.

    ``unread``: there is to be a file, and it was never read: nobody knows which keys are missing.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._seen: tuple[int, int, int] | None = None
        self._keys = AgentKeys()
        self.unread = bool(path)

    def keys(self) -> AgentKeys:
        """Return the keys as the file has them now."""
        if self._path is None:
            return self._keys
        try:
            found = self._path.stat()
        except OSError:
            return self._keys
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._keys = read_agent_keys(self._path)
                self.unread = False
            except AgentConfigError as error:
                log.warning("public keys not read", reason=str(error))
        return self._keys

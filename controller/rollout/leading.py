"""Keeps a controller's lease: waits until it leads, renews, and says when it does so no more."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from controller.rollout import lease
from controller.rollout.errors import NotLeadingError
from controller.rollout.lease import LEASE_S, Lead
from controller.store import Store, StoreUnavailableError

RENEW_S = LEASE_S / 3
LOOK_S = 0.5
"""Seconds between looks at what a site has heard, and at whether the other leader is gone."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = structlog.get_logger()


class Leading:
    """One process's lease on one store.

    Its name is that of the lock in its state directory, which it holds as long as it lives: so whoever starts
    on the same state directory after a crash leads at once, and a second one stands by.
    """

    def __init__(self, store: Store, state_dir: Path, *, look_s: float = LOOK_S) -> None:
        self.fence = 0
        self._store = store
        self._look_s = look_s
        self._lock = state_dir / "serve.lock"
        self._holder = f"{_boot()} {self._lock.resolve()}"[:400]
        self._descriptor: int | None = None

    async def wait_to_lead(self) -> None:
        """Return once this process leads; stand by until then, and say so."""
        said = ""
        while True:
            why = await asyncio.to_thread(self._try)
            if why is None:
                log.info("leads", fence=self.fence)
                return
            if why != said:
                log.warning("stands by: another controller leads", holder=why)
                said = why
            await asyncio.sleep(self._look_s)

    async def keep(self, heard: Callable[[], int], moved: Callable[[int], None]) -> None:
        """Renew for ever; ``heard``: the highest fence that a site tells of, ``moved`` is told a new one.

        Raises :class:`NotLeadingError` once another leads, or the lease may have passed unrenewed.
        """
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._look_s)
            above = heard()
            if above <= self.fence and loop.time() - renewed < RENEW_S:
                continue
            began = loop.time()
            try:
                lead = await asyncio.to_thread(self._renew, above)
            except StoreUnavailableError as error:
                if loop.time() - renewed >= LEASE_S:
                    raise NotLeadingError(
                        f"the lease was not renewed for {LEASE_S:g} s: {error}; start again to stand by"
                    ) from error
                continue
            if lead.fence is None:
                raise NotLeadingError(
                    f"another controller leads by now ({lead.holder}): nothing more is sent; start again to "
                    "stand by"
                )
            renewed = began
            if lead.fence != self.fence:
                self.fence = lead.fence
                log.warning("leads by a higher fence: a site had heard of another", fence=self.fence)
                moved(self.fence)

    def close(self) -> None:
        """Let another lead at once."""
        if self.fence:
            try:
                with self._store.write() as session:
                    lease.give_up(session, self._holder, self.fence, datetime.now(UTC))
            except StoreUnavailableError as error:
                log.warning("the lease is not given up: it passes by itself", reason=str(error))
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self) -> str | None:
        """Try to lead; return who does instead."""
        if self._descriptor is None:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return f"one on the same state directory, {self._lock.parent}"
            self._descriptor = descriptor
        try:
            with self._store.write() as session:
                lead = lease.take(session, self._holder, datetime.now(UTC))
        except StoreUnavailableError as error:
            return f"nobody knows: {error}"
        if lead.fence is None:
            return lead.holder
        self.fence = lead.fence
        return None

    def _renew(self, above: int) -> Lead:
        with self._store.write() as session:
            return lease.renew(session, self._holder, self.fence, datetime.now(UTC), above=above)


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"

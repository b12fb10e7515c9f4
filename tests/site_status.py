"""A site's status as tests want it."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.transport.messages import MachineStatus, SiteStatus


def status(site: str, **changes: Any) -> SiteStatus:
    """Return the status of a site at which all is well, but for ``changes``."""
    plain = SiteStatus(
        site=site,
        version=1,
        generation=1,
        epoch="e",
        accounts={},
        settled=True,
        speaker="exabgp",
        speaker_up=True,
        sent={},
        machines=(MachineStatus("m1", True, 1, "h"), MachineStatus("m2", True, 1, "h")),
    )
    return msgspec.structs.replace(plain, **changes)

"""Keeper sites of a prefix, by rendezvous hashing (pure): SAFETY.md, 3.

A keeper refuses to withdraw its prefix without an owner's intent, whatever the controller says. Whoever
knows the eligible sites finds the same keepers, alone: controller, agents, tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from controller.bgp import Prefix

DOMAIN = b"herald keeper 1\x00"
"""What is hashed begins with this, so that a second scheme can be told from this one."""


def keepers(prefix: Prefix, eligible: Collection[str], k: int) -> tuple[str, ...]:
    """Return the ``k`` keeper sites of ``prefix`` among ``eligible``, best first; all of them if fewer.

    The order in which the sites are given is of no matter. Each site has its own score for each prefix, so
    that a site which joins takes a prefix from at most one keeper, and one which leaves changes the keepers
    of those prefixes alone that it kept.
    """
    return tuple(sorted(set(eligible), key=lambda site: (-_score(prefix, site), site))[: max(k, 0)])


def is_keeper(site: str, prefix: Prefix, eligible: Collection[str], k: int) -> bool:
    """Tell whether ``site`` keeps ``prefix``."""
    return site in keepers(prefix, eligible, k)


def _score(prefix: Prefix, site: str) -> int:
    return int.from_bytes(hashlib.sha256(DOMAIN + f"{site}\x00{prefix}".encode()).digest()[:8])

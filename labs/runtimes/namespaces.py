"""A node's namespaces, made and entered from threads of the lab process.

``unshare`` and ``setns`` act on one thread, and a program started from that thread inherits its namespaces:
so no program per node is needed to enter them, and nothing happens between fork and exec.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from labs.runtimes import kernel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Descriptors of one node's namespaces; they live as long as the lab process holds these."""

    net: int
    mount: int
    uts: int


def create(hostname: str, prepare: Callable[[], None]) -> Namespaces:
    """Make a node's namespaces and call ``prepare`` in them (mounts, sysctls)."""

    def make() -> Namespaces:
        kernel.unshare(kernel.CLONE_FS)
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
        socket.sethostname(hostname)
        flags = os.O_RDONLY | os.O_CLOEXEC
        # Opened before anything is mounted: the node's view may not show the lab's /proc.
        net, mount, uts = (os.open(f"/proc/thread-self/ns/{kind}", flags) for kind in ("net", "mnt", "uts"))
        prepare()
        return Namespaces(net, mount, uts)

    return in_own_thread(make)


def inside(namespaces: Namespaces, work: Callable[[], T]) -> T:
    """Call ``work`` in a thread that is in all of a node's namespaces."""

    def enter() -> T:
        kernel.unshare(kernel.CLONE_FS)
        kernel.setns(namespaces.net, kernel.CLONE_NEWNET)
        kernel.setns(namespaces.uts, kernel.CLONE_NEWUTS)
        kernel.setns(namespaces.mount, kernel.CLONE_NEWNS)
        return work()

    return in_own_thread(enter)


def inside_network(namespaces: Namespaces, work: Callable[[], T]) -> T:
    """Call ``work`` in a thread that is in a node's network, and in the lab's own file systems."""

    def enter() -> T:
        kernel.setns(namespaces.net, kernel.CLONE_NEWNET)
        kernel.setns(namespaces.uts, kernel.CLONE_NEWUTS)
        return work()

    return in_own_thread(enter)


def in_own_thread(work: Callable[[], T]) -> T:
    """Call ``work`` in a thread of its own, which ends with it; its exception is raised here."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(work).result()

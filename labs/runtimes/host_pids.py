"""The pids of a lab's processes as the host sees them, so that anybody can ``kill`` one.

The lab process knows them by their numbers in its PID namespace. The line ``NSpid`` of ``/proc/PID/status``
(proc(5)) holds both; a process belongs to the lab when it descends from the one that the lab hangs on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def host_pids(owner: int) -> dict[int, int]:
    """Return inner pid → host pid, of all processes below ``owner`` (the lab's ``unshare``)."""
    return parse(owner, _statuses())


def parse(owner: int, statuses: Iterable[str]) -> dict[int, int]:
    """Find the lab's processes in the texts of ``/proc/*/status``."""
    parents: dict[int, int] = {}
    inner: dict[int, int] = {}
    for text in statuses:
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "Pid" not in fields or "PPid" not in fields:
            continue
        pid, seen = int(fields["Pid"]), fields.get("NSpid", "").split()
        parents[pid] = int(fields["PPid"])
        if len(seen) > 1:
            inner[pid] = int(seen[1])
    return {number: pid for pid, number in inner.items() if _descends(pid, owner, parents)}


def _descends(pid: int, owner: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == owner:
            return True
    return False


def _statuses() -> Iterable[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield (folder / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                continue

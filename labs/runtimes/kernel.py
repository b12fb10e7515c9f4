"""The few system calls that the netns runtime needs and Python 3.11 does not offer.

Each raises OSError with the call's errno. ``unshare`` and ``setns`` act on the calling *thread*.
See unshare(2), setns(2), mount(2), mount_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_RELATIME = 0x200000

# The flags of a mount that may not be cleared in a user namespace (mount_namespaces(7), "locked"), by the
# bit in which statvfs(3) shows them.
_LOCKED = {
    os.ST_RDONLY: MS_RDONLY,
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: MS_NOATIME,
    os.ST_NODIRATIME: MS_NODIRATIME,
    os.ST_RELATIME: MS_RELATIME,
}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into a namespace; a mount namespace needs ``unshare(CLONE_FS)`` first."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), f"setns({kind:#x})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` on ``target`` (mount(2))."""
    arguments = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags))
    _check(_libc.mount(*arguments, data.encode() or None), target)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Show ``source``, with whatever is mounted below it, at ``target`` too."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        shown = os.statvfs(target).f_flag
        locked = sum(flag for bit, flag in _LOCKED.items() if shown & bit)
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | locked)


def tmpfs(target: str, *, mode: str = "0755") -> None:
    """Mount an empty tmpfs on ``target``."""
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")

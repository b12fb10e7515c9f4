"""What this host allows: root's namespaces, or a user namespace with a range of ids, or with one id."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from labs.runtimes.errors import HostRefusesError


class Privilege(Enum):
    """How a lab gets its namespaces."""

    ROOT = "root"  # no user namespace
    RANGE = "range"  # a user namespace in which a range of ids is mapped (newuidmap, /etc/subuid)
    SINGLE = "single"  # a user namespace in which only this user is mapped, as root


_USER_OPTIONS = {
    Privilege.ROOT: (),
    Privilege.RANGE: ("--user", "--map-root-user", "--map-auto"),
    Privilege.SINGLE: ("--user", "--map-root-user"),
}

SINGLE_WARNING = (
    "only one user id is available in a user namespace here, so OpenBGPD (which must drop privileges) is "
    "left out: install the package uidmap and give this user lines in /etc/subuid and /etc/subgid"
)

# sysctl → the value that forbids unprivileged user namespaces
_FORBIDDING = {
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
    "user.max_user_namespaces": ("0", "10000"),
}


@dataclass(frozen=True, slots=True)
class Host:
    """What was found; ``warnings`` are lines for the person who brings a lab up."""

    privilege: Privilege
    warnings: tuple[str, ...] = ()


def unshare_command(privilege: Privilege) -> list[str]:
    """Return the words that start a program as process 1 of new namespaces, and end it with ``unshare``."""
    return [
        "unshare",
        *_USER_OPTIONS[privilege],
        *("--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
    ]


def detect() -> Host:
    """Find out what this host allows, by trying; else :class:`HostRefusesError` says what to change."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program, path=search_path()) is None:
            raise HostRefusesError(f"a lab needs the program {program}: install the package {package}")
    if os.geteuid() == 0:
        refusal = _refusal(Privilege.ROOT)
        if refusal is not None:
            raise HostRefusesError(f"root may not make namespaces here (a container?): {refusal}")
        return Host(Privilege.ROOT)
    if _has_range() and _refusal(Privilege.RANGE) is None:
        return Host(Privilege.RANGE)
    refusal = _refusal(Privilege.SINGLE)
    if refusal is None:
        return Host(Privilege.SINGLE, (SINGLE_WARNING,))
    raise HostRefusesError(explain(refusal, _sysctl))


def search_path() -> str:
    """Return PATH with the folders of system programs, which an ordinary user's may lack."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def _refusal(privilege: Privilege) -> str | None:
    """Try ``unshare``; return None, or why it failed."""
    done = subprocess.run(
        [*unshare_command(privilege), "true"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": search_path()},
    )
    return None if done.returncode == 0 else (done.stderr.strip() or f"unshare: exit {done.returncode}")


def _has_range() -> bool:
    if shutil.which("newuidmap") is None or shutil.which("newgidmap") is None:
        return False
    user = pwd.getpwuid(os.geteuid())
    owners = {user.pw_name, str(user.pw_uid)}
    for table in (Path("/etc/subuid"), Path("/etc/subgid")):
        if not table.exists() or not owners & {line.split(":")[0] for line in table.read_text().splitlines()}:
            return False
    return True


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text().strip() if path.exists() else None


def explain(refusal: str, sysctl: Callable[[str], str | None]) -> str:
    """Name the settings that forbid user namespaces; ``sysctl`` maps a name to its value, or None."""
    wrong = [f"{name}={allows}" for name, (forbids, allows) in _FORBIDDING.items() if sysctl(name) == forbids]
    if wrong:
        return f"this host forbids user namespaces to ordinary users: as root, sysctl -w {' '.join(wrong)}"
    names = ", ".join(_FORBIDDING)
    return f"this host forbids user namespaces ({refusal}): see the sysctls {names}, or run as root"

"""What a node sees: its own ``/run``, its binds, and an ``/etc`` in which they have a place.

A bind's target need not exist on this host, and nothing may be made on the host itself (an ordinary user
could not). So a folder in which a target is missing is *shadowed*: a folder of the lab's own takes its
place, with links to all that was in it. An overlay would need the kernel's module, and rights on the host's
files that a user namespace does not give.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from labs.runtimes import kernel
from labs.runtimes.errors import SetupCommandError
from labs.topology.model import Bind

HOST = ".host"
"""Where a shadowed folder's original is seen inside its shadow."""


@dataclass(frozen=True, slots=True)
class View:
    """One node's files. ``staging`` is a folder of the lab's own for the node's shadows; ``private`` are
    targets whose daemons insist on a file that only its owner can read: they get a copy.
    """

    node: str
    run: Path
    staging: Path
    binds: tuple[Bind, ...]
    private: tuple[str, ...] = ()
    accounts: Path | None = None
    """A folder with ``passwd`` and ``group`` for the node."""


def apply(view: View) -> None:
    """Make the calling thread's mount namespace show ``view``."""
    targets = [b.target for b in view.binds]
    for folder, missing in sorted(shadows(view, targets).items()):
        _shadow(folder, missing, view)
    below_run = [b for b in view.binds if _below_run(b.target)]
    for bind in view.binds:
        if bind not in below_run:
            _place(bind, view)
    # Last: it hides what lies below the host's /run, this lab's own files perhaps.
    kernel.bind(str(view.run), "/run")
    for bind in below_run:
        _place(bind, view)


def prepare_lab(stage: Path) -> None:
    """Make the lab's own mount namespace fit for nodes, before any of them is made.

    ``stage`` becomes a tmpfs for shadows; ``/run/netns`` is there for ``ip``; what daemons leave in
    ``/var/tmp`` goes with the lab.
    """
    kernel.tmpfs(str(stage))
    run = shadow_folder("/run", stage / "lab-run")
    run.joinpath("netns").unlink(missing_ok=True)
    run.joinpath("netns").mkdir()
    kernel.bind(str(run), "/run")
    kernel.bind(str(shadow_folder("/var/tmp", stage / "lab-tmp")), "/var/tmp")


def shadow_folder(folder: str, shadow: Path, *, read_only: bool = False) -> Path:
    """Fill ``shadow`` with a link to each entry of ``folder``, and return it; nothing is mounted there yet.

    Never remove a shadow's tree: below it lies the host's own folder.
    """
    (shadow / HOST).mkdir(parents=True)
    kernel.bind(folder, str(shadow / HOST), read_only=read_only)
    _unfold(shadow, folder, PurePosixPath())
    return shadow


def _below_run(target: str) -> bool:
    path = PurePosixPath(target)
    return path.is_relative_to("/run") or path.is_relative_to("/var/run")


def shadows(view: View, targets: Sequence[str]) -> dict[str, list[str]]:
    """Return the folders to shadow, each with the targets below it; ``/etc`` always."""
    found: dict[str, list[str]] = {"/etc": []}
    for target in targets:
        path = PurePosixPath(target)
        if _below_run(target):
            continue
        if path.is_relative_to("/etc"):
            found["/etc"].append(target)
        elif not os.path.lexists(target):
            ancestor = next(p for p in path.parents if os.path.lexists(p))
            if str(ancestor) == "/":
                raise SetupCommandError(
                    f"node {view.node}: the bind's target {target} lies in a folder that this host does not "
                    f"have: choose one below /etc, /run, /opt or /srv"
                )
            found.setdefault(str(ancestor), []).append(target)
    return found


def _shadow(folder: str, targets: Collection[str], view: View) -> None:
    # Read-only, so that root's node that writes to a file of /etc does not write to the host's.
    shadow = shadow_folder(folder, view.staging / folder.strip("/").replace("/", "-"), read_only=True)
    for target in targets:
        relative = PurePosixPath(target).relative_to(folder)
        for parent in reversed(relative.parents[:-1]):
            if (shadow / parent).is_symlink():
                (shadow / parent).unlink()
            if not (shadow / parent).exists():
                _unfold(shadow, folder, parent)
        _make_place(shadow / relative, target, view)
    if view.accounts is not None and folder == "/etc":
        for name in ("passwd", "group"):
            (shadow / name).unlink(missing_ok=True)
            shutil.copyfile(view.accounts / name, shadow / name)
    if folder == "/etc":
        for name, text in name_service(view.node).items():
            if name not in (PurePosixPath(t).name for t in targets):
                (shadow / name).unlink(missing_ok=True)
                (shadow / name).write_text(text)
    kernel.bind(str(shadow), folder)


def name_service(node: str) -> dict[str, str]:
    """Return the node's ``hosts`` and ``resolv.conf``.

    It knows its own name and asks nobody: a question to the host's resolver would wait for its deadline
    (5 s at ExaBGP's start) wherever the lab has a default route.
    """
    hosts = f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {node}\n"
    return {"hosts": hosts, "resolv.conf": "# A lab has no name service.\n"}


def _unfold(shadow: Path, folder: str, relative: PurePosixPath) -> None:
    """Make ``relative`` in the shadow a folder of its own with a link to each entry of the original."""
    (shadow / relative).mkdir(exist_ok=True)
    descriptor = os.open(shadow / relative, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, goal in _links(folder, relative, str(shadow / HOST / relative)):
            os.symlink(goal, name, dir_fd=descriptor)
    finally:
        os.close(descriptor)


_known_links: dict[tuple[str, PurePosixPath], list[tuple[str, str]]] = {}
"""What :func:`_links` found before: hundreds of nodes have the same hundreds of entries in ``/etc``."""


def _links(folder: str, relative: PurePosixPath, original: str) -> list[tuple[str, str]]:
    """Return name and goal of the links that stand for the entries of ``original``."""
    known = _known_links.get((folder, relative))
    if known is not None:
        return known
    found = []
    if Path(original).is_dir() and os.access(original, os.R_OK | os.X_OK):
        for entry in os.scandir(original):
            # A link is copied as it is: a relative one would not lead to its goal from elsewhere.
            own = os.readlink(entry.path) if entry.is_symlink() else None  # noqa: PTH115
            if entry.name != HOST:
                found.append((entry.name, own or f"{folder}/{HOST}/{relative / entry.name}"))
    _known_links[folder, relative] = found
    return found


def _make_place(place: Path, target: str, view: View) -> None:
    """Make an empty file or folder at ``place``, onto which the bind for ``target`` can be mounted."""
    source = next(b.source for b in view.binds if b.target == target)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    if source.is_dir():
        place.mkdir(exist_ok=True)
    else:
        place.touch()


def _place(bind: Bind, view: View) -> None:
    target = Path(bind.target)
    if not bind.source.exists():
        raise SetupCommandError(f"node {view.node}: {bind.source} (bound to {bind.target}) does not exist")
    if not os.path.lexists(target):
        _make_place(target, bind.target, view)
    try:
        if bind.target in view.private:
            shutil.copyfile(bind.source, target)
            target.chmod(0o600)
        else:
            kernel.bind(str(bind.source), bind.target, read_only=bind.read_only)
    except OSError as error:
        raise SetupCommandError(
            f"node {view.node}: cannot show {bind.source} at {bind.target}: {error.strerror}"
        ) from error


def accounts(passwd: str, group: str, users: Collection[str], groups: Collection[str]) -> tuple[str, str]:
    """Return ``/etc/passwd`` and ``/etc/group`` in which ``users`` and ``groups`` exist and are id 0.

    So daemons that want to become such a user start where no other id is mapped, and what they make is
    owned by the lab's owner. Every other line stays.
    """
    kept_users = [line for line in passwd.splitlines() if line.split(":")[0] not in users]
    kept_groups = [line for line in group.splitlines() if line.split(":")[0] not in groups]
    kept_users += [f"{name}:x:0:0::/nonexistent:/usr/sbin/nologin" for name in sorted(users)]
    kept_groups += [f"{name}:x:0:" for name in sorted(groups)]
    return "\n".join(kept_users) + "\n", "\n".join(kept_groups) + "\n"

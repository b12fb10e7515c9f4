"""A candidate release as a process on a copy: nothing that it does can leave this machine, or this folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.shadow.errors import CandidateError

START_S = 60.0
END_S = 20.0
ENTRY = "import sys; from controller.cli import main; sys.exit(main())"
COMPILE = "from controller.shadow.compiled import main; main()"
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What a candidate sees of this process's environment: no address of a store, an API or a server."""

APART = ("unshare", "--user", "--map-root-user", "--net", "--")
"""In a network namespace with nothing in it; unix sockets work, since they are files."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a release is started: its interpreter, and the checkout of its code (None: what is installed)."""

    python: Path
    folder: Path | None

    def __str__(self) -> str:
        return str(self.folder or self.python)

    @classmethod
    def named(cls, where: str | None) -> Candidate:
        """Return the release in a checkout (with its ``.venv``, if it has one) or of an interpreter.

        None: this release. Raises :class:`CandidateError`.
        """
        if where is None:
            return cls(Path(sys.executable), None)
        path = Path(where).absolute()
        if path.is_dir():
            if not (path / "controller").is_dir():
                raise CandidateError(f"{where} is no checkout of Herald: it has no folder controller")
            own = path / ".venv" / "bin" / "python"
            return cls(own if own.exists() else Path(sys.executable), path)
        if not os.access(path, os.X_OK):
            raise CandidateError(f"{where} is neither a checkout nor an interpreter that can be run")
        return cls(path, None)

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that it is started with."""
        found = {k: v for k, v in os.environ.items() if k in KEPT}
        found |= {"HOME": str(home), "PYTHONUNBUFFERED": "1"}
        if self.folder is not None:
            found["PYTHONPATH"] = str(self.folder)
        return found


async def can_be_apart() -> bool:
    """Tell whether this host gives a process a network namespace of its own."""
    if shutil.which(APART[0]) is None:
        return False
    tried = await asyncio.create_subprocess_exec(
        *APART, "true", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await tried.wait() == 0


@contextlib.asynccontextmanager
async def serving(
    candidate: Candidate, folder: Path, sites: Sequence[str], *, apart: bool
) -> AsyncIterator[Path]:
    """Run ``herald serve`` of ``candidate`` over ``folder/state``; gives its socket once it is ready.

    Its sites are those of the copy, at a socket in ``folder`` that nobody serves: what a site would lose can
    be assessed, and no site can be told. Raises :class:`CandidateError` when it does not start.
    """
    socket, told = folder / "api.sock", folder / "candidate.log"
    argv = [
        *(APART if apart else ()), str(candidate.python), "-c", ENTRY, "serve",
        "--state-dir", str(folder / "state"), "--socket", str(socket),
        *(word for site in sites for word in ("--site", f"{site}={folder / 'nobody.sock'}")),
    ]  # fmt: skip
    with told.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=candidate.folder or folder,
            env=candidate.environment(folder),
        )
    try:
        await _ready(process, told)
        yield socket
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if line.strip() != b"ready":
        raise CandidateError(f"the candidate does not start on the copy: {_last_line(log)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def compiled_by(candidate: Candidate, copy: Path, *, apart: bool) -> bytes | None:
    """Return what the candidate compiles from ``copy``; None when it cannot tell (an older release)."""
    argv = [*(APART if apart else ()), str(candidate.python), "-c", COMPILE, str(copy)]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=candidate.folder or copy.parent,
        env=candidate.environment(copy.parent),
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out if process.returncode == 0 else None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it says nothing"

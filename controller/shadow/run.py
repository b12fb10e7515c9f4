"""A shadow run from end to end."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.addressing.intents import write_intent_key
from controller.shadow import compiled
from controller.shadow.candidate import Candidate, can_be_apart, compiled_by, serving
from controller.shadow.compare import Compiled, Report, compare
from controller.shadow.copying import copy_export, copy_store, silence
from controller.shadow.driving import Driving
from controller.shadow.errors import CopyError
from controller.shadow.facts import Facts
from controller.shadow.reading import read_facts
from controller.shadow.requests import sign_requests_anew
from controller.store import store_address
from controller.store.backup import back_up

NO_SITES = ("site",)
"""Where a copy knows of no site, one is made up, so that what would be lost there can be told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried. ``store`` or ``export``; ``candidate`` None: this release; ``tasks`` empty: all.

    ``seconds``: for how long the tasks may run.
    """

    store: str | None
    export: Path | None
    candidate: str | None
    tasks: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Shadow:
    """What came of it. ``apart``: the candidate had a network namespace of its own."""

    candidate: str
    before: Facts
    apart: bool
    report: Report


def run_shadow(wanted: Wanted) -> Shadow:
    """Try a candidate; raises :class:`~controller.shadow.errors.ShadowError`, or the errors of stores."""
    candidate = Candidate.named(wanted.candidate)
    with tempfile.TemporaryDirectory(prefix="herald-shadow-") as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir(mode=0o700)
        copy = state / "herald.db"
        _copy(wanted, copy)
        silence(copy)
        key = Ed25519PrivateKey.generate()
        sign_requests_anew(copy, key)
        write_intent_key(state / "intent.key", key)
        return asyncio.run(_run(wanted, candidate, folder, copy))


def _copy(wanted: Wanted, to: Path) -> None:
    if (wanted.store is None) == (wanted.export is None):
        raise CopyError("give either a store or an export")
    if wanted.store is not None:
        copy_store(wanted.store, to)
    elif wanted.export is not None:
        copy_export(wanted.export, to)


async def _run(wanted: Wanted, candidate: Candidate, folder: Path, copy: Path) -> Shadow:
    apart = await can_be_apart()
    before = read_facts(copy, datetime.now(UTC))
    sites = before.sites or NO_SITES
    problems: list[str] = []
    found = await _compile(candidate, folder, copy, problems, apart=apart)
    async with serving(candidate, folder, sites, apart=apart) as socket:
        token = (folder / "state" / "operator.token").read_text().strip()
        runs, wrong = await Driving(socket, token, wanted.seconds).run_tasks(wanted.tasks)
    after = read_facts(copy, datetime.now(UTC))
    report = compare(before, after, runs, found, sites)
    report = msgspec.structs.replace(report, problems=(*report.problems, *problems, *wrong))
    return Shadow(str(candidate), before, apart, report)


async def _compile(
    candidate: Candidate, folder: Path, copy: Path, problems: list[str], *, apart: bool
) -> Compiled:
    """Let this release and the candidate compile the same rows, each on a copy of its own."""
    address = store_address(copy)
    for name in ("ours.db", "theirs.db"):
        back_up(address, folder / name)
    ours = await asyncio.to_thread(compiled.compile_all, folder / "ours.db")
    told = await compiled_by(candidate, folder / "theirs.db", apart=apart)
    if told is None:
        problems.append("the candidate cannot tell what it compiles: compare its chunks after it was served")
        return Compiled(ours, ours)
    try:
        return Compiled(ours, compiled.read(told))
    except msgspec.MsgspecError as error:
        problems.append(f"this release cannot read the candidate's chunks: {error}")
        return Compiled(ours, ours)

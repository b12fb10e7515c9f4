"""A journal put back from a backup, or begun anew, is recognised: the real process, without any daemon."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.agent.config import AgentConfig, AgentKeys, SpeakerConfig
from controller.agent.epoch import behind, reached
from controller.agent.journal_records import JournalState, Opened, Settled
from controller.cli.app import run
from controller.snapshots.model import Chunk, PrefixObject, encode_chunk, hash_chunk
from controller.transport.errors import TransportError
from controller.transport.http import HttpSiteLink
from controller.transport.messages import Command, NewerJournal, Receipt, SiteStatus

KEY = Ed25519PrivateKey.generate()


@contextmanager
def agent(folder: Path) -> Iterator[Path]:
    """Run the shipped agent on ``folder``; its speaker is not there."""
    socket = folder / "run" / "s1.sock"
    socket.parent.mkdir(exist_ok=True)
    keys = folder / "keys.json"
    keys.write_bytes(msgspec.json.encode(AgentKeys(overrides=(KEY.public_key().public_bytes_raw(),))))
    config = folder / "agent.json"
    speaker = SpeakerConfig("exabgp", str(folder / "none.sock"))
    config.write_bytes(msgspec.json.encode(AgentConfig(speaker, (), forward=False, keys=str(keys))))
    binary = str(Path(sys.executable).with_name("herald"))
    words = ("agent", "--site", "s1", "--state-dir", str(folder / "state"), "--socket", str(socket))
    with subprocess.Popen(
        [binary, *words, "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield socket
        finally:
            process.terminate()


def deliver(socket: Path, generation: int, before: str | None) -> tuple[Receipt, str]:
    data = encode_chunk(Chunk("acc", (PrefixObject(f"p{generation}", "192.0.2.0/24", None),)))  # type: ignore[arg-type]
    name = hash_chunk(data)
    command = Command("s1", generation, "r", "acc", before, name, data)  # type: ignore[arg-type]

    async def ask() -> Receipt:
        link = HttpSiteLink("s1", str(socket))
        try:
            return (await link.deliver([command]))[0]
        finally:
            await link.close()

    return asyncio.run(ask()), name


def status(socket: Path) -> SiteStatus:
    async def ask() -> SiteStatus:
        link = HttpSiteLink("s1", str(socket))
        try:
            return await link.status()
        finally:
            await link.close()

    return asyncio.run(ask())


def test_an_older_journal_is_quarantined_until_it_is_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(tmp_path) as socket:
        receipt, first = deliver(socket, 1, None)
        assert receipt.outcome == "accepted"
    shutil.copytree(tmp_path / "state", tmp_path / "backup")
    with agent(tmp_path) as socket:
        assert status(socket).fault == "", "a restart is no restore"
        assert deliver(socket, 2, first)[0].outcome == "accepted"
    shutil.rmtree(tmp_path / "state")
    shutil.copytree(tmp_path / "backup", tmp_path / "state")
    with agent(tmp_path) as socket:
        assert "older copy" in status(socket).fault
        assert deliver(socket, 3, first)[0].outcome == "refused"
        release = signed(tmp_path, socket, Ed25519PrivateKey.generate(), capsys)
        assert run(["site", "release", release, "--agent", str(socket)]) == 1
        assert "none of the keys" in capsys.readouterr().err
        release = signed(tmp_path, socket, KEY, capsys)
        assert run(["site", "release", release, "--agent", str(socket)]) == 0
        assert "not announced here: 198.51.100.0/24" in capsys.readouterr().out
    with agent(tmp_path) as socket:
        assert status(socket).fault == "", "released for good"
        assert deliver(socket, 3, first)[0].outcome == "accepted"
        assert run(["site", "release", release, "--agent", str(socket)]) == 1


def signed(folder: Path, socket: Path, key: Ed25519PrivateKey, capsys: pytest.CaptureFixture[str]) -> str:
    file = folder / "glass.key"
    file.write_text(base64.b64encode(key.private_bytes_raw()).decode())
    capsys.readouterr()
    words = ("--agent", str(socket), "--key", str(file), "--revoked", "198.51.100.0/24")
    assert run(["site", "sign-release", *words, "--who", "ann", "--reason", "restored", "--json"]) == 0
    release = folder / "release"
    release.write_text(json.loads(capsys.readouterr().out)["record"])
    return str(release)


def test_a_journal_that_began_anew_is_quarantined(tmp_path: Path) -> None:
    with agent(tmp_path) as socket:
        assert deliver(socket, 1, None)[0].outcome == "accepted"
    shutil.rmtree(tmp_path / "state")
    with agent(tmp_path) as socket:
        assert "began anew" in status(socket).fault


def test_what_is_behind_and_what_is_not() -> None:
    state = JournalState()
    state.apply(Opened("s1", "life"))
    state.apply(Settled(7))
    now = reached(state)
    assert behind(state, None) is None
    assert behind(state, now) is None
    assert behind(state, msgspec.structs.replace(now, serial=now.serial - 1)) is None
    for ahead in ({"serial": now.serial + 1}, {"generation": 8}, {"epoch": "another"}):
        assert behind(state, msgspec.structs.replace(now, **ahead)) is not None


def remind(socket: Path, epoch: str, generation: int) -> Receipt:
    """Tell the agent what a controller remembers."""

    async def ask() -> Receipt:
        link = HttpSiteLink("s1", str(socket))
        try:
            return await link.quarantine(NewerJournal("s1", epoch, generation))
        finally:
            await link.close()

    return asyncio.run(ask())


def until(socket: Path, *, quarantined: bool) -> SiteStatus:
    """Wait until the agent, which serves anew for that, is or is not."""
    for _ in range(200):
        with contextlib.suppress(TransportError):
            said = status(socket)
            if bool(said.fault) == quarantined:
                return said
        time.sleep(0.05)
    raise AssertionError(f"it is not so that it is quarantined: {quarantined}")


def test_a_controller_that_remembers_a_newer_journal_quarantines_the_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the machine was put back: the second place, too."""
    with agent(tmp_path) as socket:
        _, first = deliver(socket, 1, None)
    for name in ("state", "run"):
        shutil.copytree(tmp_path / name, tmp_path / f"{name}-backup", ignore=lambda *_: ["s1.sock"])
    with agent(tmp_path) as socket:
        deliver(socket, 2, first)
        life = status(socket).epoch
        assert remind(socket, life, 2).outcome == "refused", "it has that journal"
    for name in ("state", "run"):
        shutil.rmtree(tmp_path / name)
        shutil.copytree(tmp_path / f"{name}-backup", tmp_path / name)
    with agent(tmp_path) as socket:
        assert status(socket).fault == "", "nothing on the machine can know"
        assert remind(socket, life, 2).outcome == "accepted"
        assert "had some up to 2: it is an older copy" in until(socket, quarantined=True).fault
        assert deliver(socket, 3, first)[0].outcome == "refused"
    with agent(tmp_path) as socket:
        assert status(socket).fault, "a restart is no release"
        release = signed(tmp_path, socket, KEY, capsys)
        assert run(["site", "release", release, "--agent", str(socket)]) == 0
        assert until(socket, quarantined=False).resumed_from == (life, 2), "the same process goes on"
    with agent(tmp_path) as socket:
        said = status(socket)
        assert (said.fault, said.resumed_from) == ("", (life, 2))
        assert remind(socket, life, 2).outcome == "refused", "it was released in place of that"
        assert remind(socket, life, 3).outcome == "accepted", "and not of what came after"

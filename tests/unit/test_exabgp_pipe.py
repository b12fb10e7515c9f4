"""ExaBGP's helper, as a process, with this test in ExaBGP's place: it always reads, and mixes nothing up."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.speakers.exabgp_pipe import BACKLOG, GREETING

WAIT_S = 10.0


class Helper:
    """A running helper; ``say`` and ``hear`` are ExaBGP's side."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pipe.sock"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controller.speakers.exabgp_pipe", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self.hear() == b" version\n"  # the socket is there before the first word
        self.say(b"exabgp 5.0.15\ndone\n")

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        written = 0
        while written < len(data):
            written += self.process.stdin.write(data[written:]) or 0

    def hear(self) -> bytes:
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.process.stdout], [], [], WAIT_S)[0], f"nothing after {line!r}"
            line += self.process.stdout.read(1)
        return line

    def attach(self, *, greeted: bool = True) -> socket.socket:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        agent.settimeout(WAIT_S)
        agent.connect(str(self.path))
        if greeted:
            assert agent.recv(len(GREETING), socket.MSG_WAITALL) == GREETING
        return agent


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    running = Helper(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


def test_commands_and_answers_pass(helper: Helper) -> None:
    agent = helper.attach()
    agent.sendall(b"show\n")
    assert helper.hear() == b"show\n"
    helper.say(b"row\ndone\n")
    assert agent.recv(9, socket.MSG_WAITALL) == b"row\ndone\n"
    assert helper.path.stat().st_mode & 0o777 == 0o600


def test_events_are_read_and_dropped_and_nobody_attached_is_no_matter(helper: Helper) -> None:
    helper.say(b'{ "exabgp": "5.0.0", "type": "update" }\n' * 200_000)  # far beyond any pipe's buffer
    agent = helper.attach()
    agent.sendall(b"x\n")
    assert helper.hear() == b"x\n"
    helper.say(b'{ "exabgp": "5.0.0" }\ndone\n')
    assert agent.recv(5, socket.MSG_WAITALL) == b"done\n"


def test_an_agent_that_does_not_read_is_let_go_and_never_holds_exabgp_up(helper: Helper) -> None:
    agent = helper.attach()
    helper.say(b"a line that is no event\n" * (2 * BACKLOG // 24))
    while agent.recv(1 << 20):
        pass  # it sees the end of its connection once it reads again


def test_what_a_killed_agent_had_half_written_is_dropped(helper: Helper) -> None:
    agent = helper.attach()
    agent.sendall(b"whole\nannounce half")
    assert helper.hear() == b"whole\n"
    agent.close()
    waiting = helper.attach(greeted=False)
    helper.say(b"done\n")  # belongs to the agent before: the new one never sees it
    assert waiting.recv(len(GREETING), socket.MSG_WAITALL) == GREETING
    waiting.sendall(b"next\n")
    assert helper.hear() == b"next\n"
    helper.say(b"error\n")
    assert waiting.recv(6, socket.MSG_WAITALL) == b"error\n"


def test_a_newer_agent_takes_the_place_of_an_older(helper: Helper) -> None:
    older = helper.attach()
    newer = helper.attach()
    assert older.recv(1) == b""
    newer.sendall(b"x\n")
    assert helper.hear() == b"x\n"


def test_it_ends_when_exabgp_closes_its_pipe(helper: Helper) -> None:
    agent = helper.attach()
    assert helper.process.stdin is not None
    helper.process.stdin.close()
    assert helper.process.wait(WAIT_S) == 0
    assert agent.recv(1) == b""

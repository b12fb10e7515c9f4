"""The netns runtime on real daemons: nothing outlives a lab, and what goes wrong is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.locations import runtime_root
from labs.runtimes import lab as labs
from labs.runtimes import lock
from labs.runtimes.errors import (
    LabChangedError,
    NoLabError,
    ProcessStartError,
    SetupCommandError,
    UnknownProcessError,
)
from labs.topology.generate import generate_ring

pytestmark = pytest.mark.lab

HERALD = str(Path(sys.executable).with_name("herald"))
WITHIN_S = 10.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not so after {WITHIN_S:g} s: {what}"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def own_runtime_root(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Labs of these tests have a root of their own, so that nobody else's lab is seen or touched."""
    root = Path(f"/tmp/hr-{os.getpid()}")
    monkeypatch.setenv("HERALD_RUNTIME_DIR", str(root))
    yield root
    for status in labs.labs():
        if status.state != "dead":
            labs.RunningLab(Path(status.runtime)).down()
    assert list(root.iterdir()) == [], "a lab left something in its runtime directory"
    root.rmdir()


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return generate_ring(3, tmp_path / "ring")


def ours() -> set[int]:
    """Return the processes that name this test's runtime root: a lab's own, and those of a lab's start."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(runtime_root()) in text:
                found.add(int(folder.name))
    return found


def footprint() -> tuple[list[str], list[str], str]:
    """Return what a lab could leave on this host: named namespaces, interfaces, mounts."""
    named = sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else []  # noqa: PTH208
    mounts = [m for m in Path("/proc/self/mountinfo").read_text().splitlines() if str(runtime_root()) in m]
    interfaces = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return named, mounts, "\n".join(line.split(":")[1] for line in interfaces.splitlines())


def test_up_and_down_leave_nothing(ring: Path) -> None:
    before = footprint()
    lab = labs.up(ring)
    assert {p.state for p in lab.status().processes} == {"running"}
    assert [n.name for n in lab.inventory.nodes] == ["r1", "r2", "r3"]
    assert footprint() == before, "a lab is invisible from outside"
    pids = [p.pid for p in lab.status().processes if p.pid is not None]
    lab.down()
    assert ours() == set()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert footprint() == before
    assert (ring.parent / "clab-ring").exists() or list(ring.parent.glob("clab-*")), "logs are kept"
    with pytest.raises(NoLabError, match="no lab is running"):
        labs.find()


@pytest.mark.parametrize("victim", ["unshare", "process 1", "lab process"])
def test_sigkill_of_the_lab_leaves_nothing(ring: Path, victim: str) -> None:
    lab = labs.up(ring)
    owner = lock.owner(lab.runtime / "lab.lock")
    assert owner is not None
    chain = [owner]
    for _ in range(2):
        chain.append(int(Path(f"/proc/{chain[-1]}/task/{chain[-1]}/children").read_text().split()[0]))
    daemons = [p.pid for p in lab.status().processes if p.pid is not None]
    os.kill(dict(zip(("unshare", "process 1", "lab process"), chain, strict=True))[victim], signal.SIGKILL)
    wait_until(lambda: not lock.is_held(lab.runtime / "lab.lock"), "the lock is free")
    wait_until(lambda: not ours(), "no process is left")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in daemons), "no daemon is left")
    again = labs.up(ring)  # does not stumble over what is left
    assert again.restarted is None
    again.down()


def test_a_daemon_that_does_not_start_is_told_with_its_log_and_nothing_is_left(ring: Path) -> None:
    config = next(ring.parent.glob("configs/r2/bird.conf"))
    config.write_text("this is no configuration;\n")
    with pytest.raises(ProcessStartError, match=r"r2/bird ended: exit status 1(.|\n)*syntax error"):
        labs.up(ring)
    assert ours() == set()
    assert labs.labs() == []


def test_a_command_that_fails_is_told_with_node_and_output(ring: Path) -> None:
    text = ring.read_text()
    broken = text.replace("exec:", "exec:\n        - ip addr add 10.255.0.1/24 dev nosuch", 1)
    assert broken != text
    ring.write_text(broken)
    with pytest.raises(SetupCommandError, match=r"node r\d: ip addr add 10.255.0.1/24 dev nosuch.*nosuch"):
        labs.up(ring)
    assert ours() == set()


def test_a_second_up_restarts_what_died_and_nothing_else(ring: Path) -> None:
    lab = labs.up(ring)
    before = {p.name: p.pid for p in lab.status().processes}
    assert labs.up(ring).restarted == ()
    os.kill(lab.host_pid("r1/bird"), signal.SIGKILL)
    wait_until(lambda: lab.status().state == "degraded", "the death is seen")
    (dead,) = [p for p in lab.status().processes if p.state == "dead"]
    assert (dead.name, dead.detail) == ("r1/bird", "killed by SIGKILL")
    assert labs.up(ring).restarted == ("r1/bird",)
    after = {p.name: p.pid for p in lab.status().processes}
    assert after.pop("r1/bird") != before.pop("r1/bird")
    assert after == before


def test_a_changed_topology_is_said_and_reconfigure_starts_over(ring: Path) -> None:
    lab = labs.up(ring)
    instance = lab.inventory.instance
    ring.write_text(ring.read_text() + "\n# changed\n")
    with pytest.raises(LabChangedError, match="--reconfigure"):
        labs.up(ring)
    assert labs.up(ring, reconfigure=True).inventory.instance != instance


def test_exec_runs_in_the_nodes_namespaces(ring: Path) -> None:
    lab = labs.up(ring)
    done = lab.exec("r2", ["sh", "-c", "hostname; ls /run/bird; echo told >&2; exit 7"])
    assert (done.returncode, done.stderr) == (7, "told\n")
    assert done.stdout.splitlines() == ["r2", "bird.ctl", "bird.pid"]
    with pytest.raises(UnknownProcessError, match="no node 'r9': there are r1, r2, r3"):
        lab.exec("r9", ["true"])
    with pytest.raises(UnknownProcessError, match="cannot run no-such-program"):
        lab.exec("r1", ["no-such-program"])


def test_exec_ends_with_its_caller(ring: Path) -> None:
    labs.up(ring)
    caller = subprocess.Popen(
        [HERALD, "lab", "exec", "r1", "--", "sh", "-c", "echo $$; exec sleep 1000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    inner = caller.stdout.readline().strip()
    lab = labs.find()
    assert lab.exec("r1", ["kill", "-0", inner]).returncode == 0
    caller.kill()
    caller.wait()
    caller.stdout.close()
    wait_until(lambda: lab.exec("r1", ["kill", "-0", inner]).returncode != 0, "the command has ended")


def test_a_nodes_etc_is_its_own(ring: Path) -> None:
    lab = labs.up(ring)
    assert lab.exec("r1", ["sh", "-c", "echo mine > /etc/hers && cat /etc/hers"]).stdout == "mine\n"
    assert lab.exec("r2", ["cat", "/etc/hers"]).returncode != 0
    assert not Path("/etc/hers").exists()
    assert lab.exec("r1", ["touch", "/etc/.host/made-by-a-node"]).returncode != 0
    assert not Path("/etc/made-by-a-node").exists(), "the host's files are safe"


def test_signals_and_restart_reach_one_process(ring: Path) -> None:
    lab = labs.up(ring)
    pid = lab.host_pid("r3/bird")
    lab.signal("r3/bird", signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text(), "it is stopped")
    lab.restart("r3/bird")  # a stopped process must not hold it up
    assert lab.host_pid("r3/bird") != pid
    with pytest.raises(UnknownProcessError, match="no process 'r3/frr'"):
        lab.restart("r3/frr")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["namespaces", "daemons"])
def test_an_interrupted_up_leaves_nothing(ring: Path, number: signal.Signals, phase: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _UP, str(ring), phase],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == phase
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "interrupted: nothing of the lab is left\n")
    assert ours() == set()
    assert labs.labs() == []


def test_a_killed_up_leaves_no_process(ring: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _UP, str(ring), "daemons"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    wait_until(lambda: not ours(), "the lab process notices that nobody waits, and ends")
    wait_until(
        lambda: not any(map(lock.is_held, runtime_root().glob("*/lab.lock"))), "all that it had open is shut"
    )
    assert [s.state for s in labs.labs()] == ["dead"]
    assert labs.labs() == []


def test_a_held_lab_ends_with_whoever_holds_it(ring: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(ring)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert [s.state for s in labs.labs()] == ["up"]
    process.kill()
    process.communicate()
    wait_until(lambda: not ours(), "no process is left")
    wait_until(
        lambda: not any(map(lock.is_held, runtime_root().glob("*/lab.lock"))), "all that it had open is shut"
    )
    assert labs.up(ring).restarted is None


_HOLD = """
import sys
from labs.runtimes import lab

running = lab.up(sys.argv[1])
running.hold()
print("held", flush=True)
sys.stdin.read()
"""


# The command itself, which says on stdout that a phase has begun.
_UP = """
import sys
from pathlib import Path
from labs.cli import lab, progress
from labs.runtimes.wire import Progress

class Display(progress.Display):
    def progress(self, told: Progress) -> None:
        if told.phase == sys.argv[2] and told.done == 0:
            print(told.phase, flush=True)

lab.Display = Display
try:
    lab.up(Path(sys.argv[1]), as_json=True)
except lab.typer.Exit as end:
    sys.exit(end.exit_code)
"""

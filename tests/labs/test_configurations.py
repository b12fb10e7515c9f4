"""Every configuration, checked in or generated, is accepted by the real daemon that is to read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labs.topology.generate import clique, configurations, ring, two_sites

pytestmark = pytest.mark.lab


FILES = [
    (design.name, name, text)
    for design in (two_sites(), clique(5), ring(3))
    for name, text in configurations(design).items()
    if not name.endswith("/daemons")
]
CHECKS = {
    "bird.conf": ["/usr/sbin/bird", "-p", "-c"],
    "frr.conf": ["/usr/bin/vtysh", "-C", "-f"],
    "gobgpd.toml": ["/usr/bin/gobgpd", "--dry-run", "-f"],
    "bgpd.conf": ["/usr/sbin/bgpd", "-n", "-f"],
    "exabgp.conf": [str(Path(sys.executable).parent / "exabgp"), "validate"],
}
EXABGP = {"exabgp.daemon.user": "root", "exabgp.log.level": "ERROR", "PATH": "/usr/bin:/bin"}


def check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHECKS[file.name], str(file)], capture_output=True, text=True, check=False, env=EXABGP, timeout=30
    )


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / Path(name).name
    # ExaBGP wants its helper's program to be there.
    file.write_text(text.replace("/run/herald/exabgp-pipe", "/bin/cat"))
    file.chmod(0o600)  # OpenBGPD insists
    return file


@pytest.mark.parametrize(("lab", "name", "text"), FILES, ids=[f"{lab}-{name}" for lab, name, _ in FILES])
def test_the_daemon_accepts_it(tmp_path: Path, lab: str, name: str, text: str) -> None:
    done = check(write(tmp_path, name, text))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("daemon", CHECKS)
def test_the_check_can_fail(tmp_path: Path, daemon: str) -> None:
    assert check(write(tmp_path, daemon, "this is { no configuration\n")).returncode != 0

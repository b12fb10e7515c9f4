"""The main job as an ordinary user, made for the test, who can read the checkout and no more."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.labs.test_two_sites import TRANSITS, expected_paths

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.getuid() != 0, reason="not root: every other lab test is this test already"),
]

ROOT = Path(__file__).resolve().parents[2]
PREFIXES = ("192.0.2.0/24", "2001:db8:1000::/48")


class User:
    """An ordinary user of this host, with a home of its own and subordinate ids."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *words: str | Path, cwd: Path | None = None, check: bool = True) -> str:
        home = pwd.getpwnam(self.name).pw_dir
        environment = {"HOME": home, "PATH": "/usr/bin:/bin", "PIP_CACHE_DIR": f"{home}/.cache"}
        environment |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTP"))}
        done = subprocess.run(
            ["setpriv", "--reuid", self.name, "--regid", self.name, "--init-groups", *words],
            cwd=cwd or home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{self.name}: {words} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout


@pytest.fixture
def user() -> Iterator[User]:
    name = f"herald-t{os.getpid()}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        yield User(name)
    finally:
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


@pytest.fixture
def checkout(user: User) -> Path:
    """The checkout if the user can read it and run its environment, else a copy for which that is so."""
    become = ["setpriv", "--reuid", user.name, "--regid", user.name, "--init-groups"]
    tried = subprocess.run(
        [*become, ROOT / ".venv/bin/herald", "--help"], capture_output=True, check=False, cwd="/"
    )
    if tried.returncode == 0:
        return ROOT
    copy = Path(pwd.getpwnam(user.name).pw_dir) / "herald"
    subprocess.run(["git", "clone", "--quiet", ROOT, copy], check=True)
    subprocess.run(["chown", "-R", f"{user.name}:{user.name}", copy], check=True)
    user.run(copy / "scripts" / "setup", cwd=copy)
    return copy


def test_the_main_job_without_root(user: User, checkout: Path) -> None:
    herald = checkout / ".venv" / "bin" / "herald"
    topology = checkout / "topologies" / "two-sites" / "two-sites.clab.yml"
    user.run(herald, "lab", "up", topology, cwd=checkout)
    try:
        for prefix in PREFIXES:
            user.run(herald, "announce", prefix, "--lab", "two-sites")
            rows: list[dict[str, Any]] = json.loads(
                user.run(herald, "ribs", prefix, "--json", "--lab", "two-sites")
            )
            for node in (*TRANSITS, "vantage"):
                paths = sorted((tuple(r["as_path"]) for r in rows if r["node"] == node), key=repr)
                assert paths == expected_paths(node, (64500,)), node
            user.run(herald, "withdraw", prefix, "--lab", "two-sites")
            assert json.loads(user.run(herald, "ribs", prefix, "--json", "--lab", "two-sites")) == []
    finally:
        user.run(herald, "lab", "down", "two-sites")
    # What has ended and waits for the host's init to take note of it (state Z) is not left over.
    left = subprocess.run(
        ["ps", "-u", user.name, "-o", "stat=,args="], capture_output=True, text=True, check=False
    )
    assert [line for line in left.stdout.splitlines() if not line.startswith("Z")] == []

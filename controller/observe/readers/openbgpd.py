"""OpenBGPD's RIB and sessions, by bgpctl: its control socket carries the daemon's own C structures."""

from __future__ import annotations

import subprocess
from pathlib import Path

from controller.bgp import Prefix
from controller.observe.inventory import Node
from controller.observe.readers.errors import ReaderUnreachableError
from controller.observe.readers.openbgpd_reply import read_rib, read_sessions
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

BGPCTL = "/usr/sbin/bgpctl"


def read(node: Node, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return the candidates in OpenBGPD's Loc-RIB."""
    words = ["show", "rib", "detail", *([prefix] if prefix else [])]
    return read_rib(source, prefix, _ask(node, source, words, deadline_s))


def sessions(node: Node, source: Source, deadline_s: float) -> list[Session]:
    """Return OpenBGPD's BGP sessions."""
    return read_sessions(source, _ask(node, source, ["show", "summary"], deadline_s))


def _ask(node: Node, source: Source, words: list[str], deadline_s: float) -> bytes:
    path = Path(node.run) / "bgpd.sock.0"
    argv = [BGPCTL, "-s", str(path), "-j", *words]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ReaderUnreachableError(
            f"{source.node} (openbgpd) cannot be read at {path}: no answer within {deadline_s:g} s"
        ) from error
    except OSError as error:
        raise ReaderUnreachableError(
            f"cannot read {source.node} (openbgpd): {BGPCTL}: {error.strerror}; install openbgpd"
        ) from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode or not done.stdout.strip():
        raise ReaderUnreachableError(
            f"{source.node} (openbgpd) cannot be read at {path}: {said or 'no answer'}; is it running?"
        )
    return done.stdout

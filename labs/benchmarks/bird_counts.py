"""How many routes a BIRD holds, asked at its control socket; the same question for ours and for the floor."""

from __future__ import annotations

import re
import socket
from pathlib import Path

_ROUTES = re.compile(rb"(\d+) of \d+ routes for (\d+) networks in table (master[46])")


def routes_in_master(control: Path) -> int:
    """Return the networks in ``master4`` and ``master6`` together; 0 while BIRD does not answer yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(control))
        except (FileNotFoundError, ConnectionRefusedError):
            return 0
        stream = connection.makefile("rwb")
        stream.readline()
        stream.write(b"show route count\n")
        stream.flush()
        answer = b""
        while not re.search(rb"^(0014|8\d{3}|9\d{3}) ", answer, re.MULTILINE):
            line = stream.readline()
            if not line:
                return 0
            answer += line
    return sum(int(networks) for _, networks, _ in _ROUTES.findall(answer))

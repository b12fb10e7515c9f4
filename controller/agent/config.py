"""What an agent is told at its start: its speaker and its machines (read from one JSON file)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from controller.errors import HeraldError


class AgentConfigError(HeraldError):
    """The agent's configuration file is missing or malformed."""


class SpeakerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``socket``: ExaBGP's helper socket, GoBGP's gRPC socket, or BIRD's control socket.

    For BIRD alone: ``config_file`` is written by the agent, ``config_path`` is that file as BIRD sees it, and
    ``boot_config`` the configuration that BIRD was started with, as BIRD sees it.
    """

    kind: Literal["exabgp", "gobgp", "bird"]
    socket: str
    config_file: str = ""
    config_path: str = "/run/herald/bird.conf"
    boot_config: str = "/etc/bird/bird.conf"


class MachineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A machine of the site; ``next_hops``: its addresses (at most one a family) as the router reaches it."""

    name: str
    socket: str
    next_hops: tuple[str, ...] = ()


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``machine_deadline_s``: seconds after which a silent machine no longer counts as live.

    ``forward``: install a route over the machines that hold a prefix's bindings in this namespace's kernel.
    """

    speaker: SpeakerConfig
    machines: tuple[MachineConfig, ...]
    local_as: int = 64500
    machine_deadline_s: float = 1.0
    forward: bool = True


def read_agent_config(path: Path) -> AgentConfig:
    """Read the file; raises :class:`AgentConfigError` that says what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AgentConfig, strict=True)
    except OSError as error:
        raise AgentConfigError(f"cannot read the agent's configuration {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise AgentConfigError(f"{path} is not an agent's configuration: {error}") from error

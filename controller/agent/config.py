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
    ``fleet``: the names of all sites, from which each prefix's keepers are drawn. ``keys``: the file of
    public keys (:class:`AgentKeys`), read anew when it changes; without it nobody's intent counts.
    ``policy``: a file (TOML) that tightens :class:`~controller.agent.policy.AgentPolicy`; ``policy_record``:
    one with a signed record that may loosen it, once it has been known for ``policy_delay_s``.
    ``epoch_dir``: where no backup of the state directory reaches (:mod:`controller.agent.epoch`); the
    socket's own folder if empty.
    """

    speaker: SpeakerConfig
    machines: tuple[MachineConfig, ...]
    local_as: int = 64500
    machine_deadline_s: float = 1.0
    forward: bool = True
    fleet: tuple[str, ...] = ()
    keys: str = ""
    policy: str = ""
    policy_record: str = ""
    policy_delay_s: float = 86400.0
    epoch_dir: str = ""


class AgentKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Raw Ed25519 public keys, 32 bytes each (base64 in the file), by what they may sign.

    ``intents``: the API's intent service; ``overrides``: the operators' break-glass; ``policy``: records that
    loosen the agent's policy; ``registry``: what accounts may announce (none: that is not checked here).
    """

    intents: tuple[bytes, ...] = ()
    overrides: tuple[bytes, ...] = ()
    policy: tuple[bytes, ...] = ()
    registry: tuple[bytes, ...] = ()


def read_agent_keys(path: Path) -> AgentKeys:
    """Read the file of public keys; raises :class:`AgentConfigError` that says what is wrong with it."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=AgentKeys, strict=True)
    except OSError as error:
        raise AgentConfigError(f"cannot read the public keys {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise AgentConfigError(f"{path} holds no public keys: {error}") from error
    for name in AgentKeys.__struct_fields__:
        if any(len(raw) != 32 for raw in getattr(keys, name)):
            raise AgentConfigError(f"{path}: a key in {name} has not the 32 bytes of an Ed25519 public key")
    return keys


def read_agent_config(path: Path) -> AgentConfig:
    """Read the file; raises :class:`AgentConfigError` that says what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AgentConfig, strict=True)
    except OSError as error:
        raise AgentConfigError(f"cannot read the agent's configuration {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise AgentConfigError(f"{path} is not an agent's configuration: {error}") from error

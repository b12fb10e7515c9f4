"""The keys of a lab's guards: who may sign intents, the registry, overrides and policies.

In production the private keys lie with different people; a lab makes them all for itself, in its own state
(mode 0600), and tells its agents the public ones. So an agent in a lab judges exactly as one in production.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.addressing.intents import open_intent_service
from controller.addressing.private_file import write_private
from controller.agent.config import AgentKeys
from controller.agent.policy import AgentPolicy, PolicyRecord, sign_policy
from labs.runtimes.errors import LabStartError
from labs.runtimes.plan import LabPaths

OVERRIDES, POLICY = "overrides.key", "policy.key"


def private_key(path: Path) -> bytes:
    """Return the raw private key in ``path`` (one line of base64), made when there is none."""
    try:
        raw = base64.b64decode(path.read_text().strip(), validate=True)
    except FileNotFoundError:
        raw = Ed25519PrivateKey.generate().private_bytes_raw()
        write_private(path, base64.b64encode(raw).decode())
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        raise LabStartError(f"{path} is damaged: remove it, and a new key is made: {error}") from error
    return raw


def public_keys(paths: LabPaths) -> AgentKeys:
    """Return what the lab's agents are to believe; keys that are missing are made.

    The keys of intents and of the registry are ``serve``'s own, so make them before ``serve`` starts: both
    would make one.
    """
    guard, serve = paths.state("guard"), paths.state("serve")
    return AgentKeys(
        intents=open_intent_service(serve / "intent.key").public_keys,
        overrides=(_public(private_key(guard / OVERRIDES)),),
        policy=(_public(private_key(guard / POLICY)),),
        registry=(_public(private_key(serve / "registry.key")),),
    )


def write_keys(paths: LabPaths) -> Path:
    """Write the file of public keys that the lab's agents read; return its path."""
    path = paths.runtime / "agent" / "keys.json"
    path.write_bytes(msgspec.json.encode(public_keys(paths)))
    return path


def policy_files(paths: LabPaths, site: str) -> tuple[Path, Path]:
    """Return the site's own policy (TOML, empty at first: nothing tighter), and the lab's signed record."""
    own = paths.runtime / "agent" / f"{site}.policy.toml"
    own.touch()
    return own, paths.state("guard") / "policy.record"


def sign_lab_policy(paths: LabPaths, policy: AgentPolicy, why: str) -> None:
    """Let the lab's agents judge by ``policy`` from their next start on, also where it loosens theirs."""
    record = PolicyRecord("*", 1, policy, "the lab itself", why)
    key = private_key(paths.state("guard") / POLICY)
    write_private(policy_files(paths, "any")[1], sign_policy(record, key))


def _public(raw: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()

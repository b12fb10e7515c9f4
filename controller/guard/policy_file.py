"""Reads the guards' policy from its file."""

from __future__ import annotations

from pathlib import Path

from controller.safety.policy import Policy, PolicyError, parse_policy


def read_policy(path: Path) -> Policy:
    """Return the policy in the TOML file ``path``; raises :class:`PolicyError` that names file and key."""
    try:
        return parse_policy(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy {path} cannot be read: {error}") from error
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error

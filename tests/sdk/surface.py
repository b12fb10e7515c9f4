"""What the installed SDK can call, read from the resource tree: a newer one's methods are found too."""

from __future__ import annotations

import inspect
from typing import Any

import cloudflare
from cloudflare._resource import SyncAPIResource


def account_methods(resource: Any = None, prefix: str = "") -> list[str]:
    """Return the dotted names of all methods that take an ``account_id``, such as ``prefixes.get``."""
    return [name for name, at_account in _methods(resource, prefix) if at_account]


def zone_methods(resource: Any = None, prefix: str = "") -> list[str]:
    """Return the dotted names of the other methods."""
    return [name for name, at_account in _methods(resource, prefix) if not at_account]


def method_at(addressing: Any, name: str) -> Any:
    """Return the bound method of a dotted name."""
    found = addressing
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _methods(resource: Any, prefix: str) -> list[tuple[str, bool]]:
    if resource is None:
        resource = cloudflare.Cloudflare(api_token="none").addressing
    found: list[tuple[str, bool]] = []
    for name in dir(type(resource)):
        if name.startswith(("_", "with_")):
            continue
        thing = getattr(resource, name)
        if isinstance(thing, SyncAPIResource):
            found += _methods(thing, f"{prefix}{name}.")
        elif inspect.ismethod(thing):
            found.append((prefix + name, "account_id" in inspect.signature(thing).parameters))
    return found

"""``configs/addressing.json``, read strictly: what a lab's customers have when it is up."""

from __future__ import annotations

from pathlib import Path

import msgspec

from controller.bgp import Prefix
from labs.topology.errors import TopologyError


class BindingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A binding to a service."""

    cidr: Prefix
    service_id: str


class PrefixData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An onboarded prefix; ``asn`` None: our own AS is the origin."""

    cidr: Prefix
    asn: int | None = None
    description: str = ""
    approved: bool = False
    bindings: tuple[BindingData, ...] = ()


class AccountData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer."""

    id: str
    name: str
    prefixes: tuple[PrefixData, ...] = ()


class ServiceData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service that addresses can be bound to."""

    id: str
    name: str


class AddressingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    services: tuple[ServiceData, ...] = ()
    accounts: tuple[AccountData, ...] = ()


def read_addressing(path: Path) -> AddressingData:
    """Read the file; raises :class:`TopologyError` that says where it is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AddressingData, strict=True)
    except OSError as error:
        raise TopologyError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise TopologyError(f"{path}: {error}") from error

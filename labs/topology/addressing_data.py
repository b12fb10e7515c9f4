"""``configs/addressing.json``, read strictly: what a lab's customers have when it is up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from controller.bgp import Prefix, PrefixError, covers, parse_prefix
from labs.topology.errors import TopologyError

Asn = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 2)]
"""An AS number that can be an origin (RFC 6793; RFC 7300 reserves the last)."""
Name = Annotated[str, msgspec.Meta(min_length=1)]


class BindingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A binding to a service."""

    cidr: Prefix
    service_id: str


class PrefixData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An onboarded prefix; ``asn`` None: our own AS is the origin."""

    cidr: Prefix
    asn: Asn | None = None
    description: str = ""
    approved: bool = False
    bindings: tuple[BindingData, ...] = ()


class AccountData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer."""

    id: Name
    name: Name
    prefixes: tuple[PrefixData, ...] = ()


class ServiceData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service that addresses can be bound to."""

    id: Name
    name: Name


class AddressingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    services: tuple[ServiceData, ...] = ()
    accounts: tuple[AccountData, ...] = ()


def read_addressing(path: Path) -> AddressingData:
    """Read the file; raises :class:`TopologyError` that says, a line each, what is wrong and where."""
    try:
        data = msgspec.json.decode(path.read_bytes(), type=AddressingData, strict=True)
    except OSError as error:
        raise TopologyError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: {error}") from error
    wrong = [f"{path}: {problem}" for problem in _problems(data)]
    if wrong:
        raise TopologyError("\n".join(wrong))
    return data


def _problems(data: AddressingData) -> Iterator[str]:
    services = [service.id for service in data.services]
    yield from _repeated("services", services)
    yield from _repeated("accounts", [account.id for account in data.accounts])
    prefixes = [prefix.cidr for account in data.accounts for prefix in account.prefixes]
    yield from _repeated("prefixes", prefixes)
    for account in data.accounts:
        for prefix in account.prefixes:
            where = f"account {account.id}: prefix {prefix.cidr}"
            wrong = _canonical(prefix.cidr)
            if wrong is not None:
                yield f"{where}: {wrong}"
                continue
            yield from _wrong_bindings(where, prefix, services)


def _wrong_bindings(where: str, prefix: PrefixData, services: list[str]) -> Iterator[str]:
    yield from _repeated(f"{where}: bindings", [binding.cidr for binding in prefix.bindings])
    if prefix.bindings and prefix.bindings[0].cidr != prefix.cidr:
        yield f"{where}: its first binding is {prefix.bindings[0].cidr}; allowed: the whole prefix"
    for binding in prefix.bindings:
        wrong = _canonical(binding.cidr)
        if wrong is None and not covers(prefix.cidr, binding.cidr):
            wrong = "does not lie in the prefix"
        if wrong is not None:
            yield f"{where}: binding {binding.cidr}: {wrong}"
        if binding.service_id not in services:
            allowed = ", ".join(services) or "none is defined"
            yield f"{where}: binding {binding.cidr}: no service {binding.service_id!r}; allowed: {allowed}"


def _canonical(text: Prefix) -> str | None:
    try:
        prefix = parse_prefix(text)
    except PrefixError as error:
        return str(error)
    return None if prefix == text else f"is not in canonical form; allowed: {prefix}"


def _repeated(what: str, names: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"{what}: {name} is given {names.count(name)} times; allowed: once"

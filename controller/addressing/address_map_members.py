"""What is in an address map: addresses, accounts and zones, each put and taken by itself.

Putting what is there already, and nothing else, is fine and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from controller.addressing import address_map_rules as maps
from controller.addressing import map_rows
from controller.addressing.address_map_bodies import MapBare, map_bare
from controller.addressing.address_map_tables import AddressMapRow, MapIpRow, MembershipRow
from controller.addressing.address_maps import BASE, OF_IPS, MapId
from controller.addressing.context import AccountDep
from controller.addressing.description import refuses
from controller.addressing.errors import Kind, Refusal
from controller.addressing.writes import Write, Writer, WriterDep

IPS = BASE + "/{address_map_id}/ips/{ip}"
ACCOUNTS = BASE + "/{address_map_id}/accounts/{member_account_id}"
ZONES = BASE + "/{address_map_id}/zones/{zone_id}"

router = APIRouter(tags=["address_maps"])

Member = Annotated[str, Path(max_length=200)]

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@router.put(IPS, response_model=MapBare, responses=refuses(*OF_IPS, Kind.MAP_MANAGED))
def put_map_ip(account: AccountDep, address_map_id: MapId, ip: Member, writer: WriterDep) -> Response:
    """Put an address into a map."""

    def put(write: Write, row: AddressMapRow) -> bool:
        address = maps.canonical_ip(ip, "/path/ip")
        if map_rows.the_ip(write.session, row.id, address) is not None:
            return False
        map_rows.check_ip(write.session, row, address, "/path/ip", enabled=row.enabled)
        map_rows.put_ip(write, row, address)
        return True

    return _change(writer, account, address_map_id, put, "put", ip=ip)


@router.delete(IPS, response_model=MapBare, responses=refuses(Kind.INVALID_IP, Kind.MAP_MANAGED))
def delete_map_ip(account: AccountDep, address_map_id: MapId, ip: Member, writer: WriterDep) -> Response:
    """Take an address out of a map."""

    def take(write: Write, row: AddressMapRow) -> bool:
        address = maps.canonical_ip(ip, "/path/ip")
        return _tombstone(write, row, map_rows.the_ip(write.session, row.id, address), address)

    return _change(writer, account, address_map_id, take, "take", ip=ip)


@router.put(ACCOUNTS, response_model=MapBare, responses=refuses(Kind.INVALID_MEMBER, Kind.MAP_MANAGED))
def put_map_account(
    account: AccountDep, address_map_id: MapId, member_account_id: Member, writer: WriterDep
) -> Response:
    """Give a map's addresses to an account: this one, or one to which it delegates."""
    put = _putting("account", member_account_id, "/path/member_account_id")
    return _change(writer, account, address_map_id, put, "put", member=f"account {member_account_id}")


@router.delete(ACCOUNTS, response_model=MapBare, responses=refuses(Kind.MAP_MANAGED))
def delete_map_account(
    account: AccountDep, address_map_id: MapId, member_account_id: Member, writer: WriterDep
) -> Response:
    """Take an account out of a map."""
    take = _taking("account", member_account_id)
    return _change(writer, account, address_map_id, take, "take", member=f"account {member_account_id}")


@router.put(ZONES, response_model=MapBare, responses=refuses(Kind.INVALID_MEMBER, Kind.MAP_MANAGED))
def put_map_zone(account: AccountDep, address_map_id: MapId, zone_id: Member, writer: WriterDep) -> Response:
    """Give a map's addresses to a zone; Herald has no zones and takes any identifier."""
    put = _putting("zone", zone_id, "/path/zone_id")
    return _change(writer, account, address_map_id, put, "put", member=f"zone {zone_id}")


@router.delete(ZONES, response_model=MapBare, responses=refuses(Kind.MAP_MANAGED))
def delete_map_zone(
    account: AccountDep, address_map_id: MapId, zone_id: Member, writer: WriterDep
) -> Response:
    """Take a zone out of a map."""
    return _change(
        writer, account, address_map_id, _taking("zone", zone_id), "take", member=f"zone {zone_id}"
    )


Change = Callable[[Write, AddressMapRow], bool]
"""Does it, and tells whether anything was changed."""


def _change(
    writer: Writer, account: str, map_id: str, change: Change, action: str, **detail: str
) -> Response:
    def work(write: Write) -> dict[str, Any]:
        row = map_rows.the_map(write.session, account, map_id)
        write.match(row)
        maps.may_modify(row.id, row.can_modify_ips or write.caller.is_operator)
        if change(write, row):
            row.modified_at = write.now
            write.record(action, "address_map", row.id, account, **detail)
        write.shows(row)
        return map_bare()

    return writer.run(work)


def _putting(kind: str, identifier: str, pointer: str) -> Change:
    def put(write: Write, row: AddressMapRow) -> bool:
        if not IDENTIFIER.fullmatch(identifier):
            raise Refusal(
                Kind.INVALID_MEMBER,
                f"{identifier[:50]!r} is no identifier: give 1 to 32 letters, digits, - and _",
                pointer,
            )
        if map_rows.the_member(write.session, row.id, kind, identifier) is not None:
            return False
        map_rows.check_member(write.session, row.account_id, kind, identifier, pointer)
        map_rows.put_member(write, row, kind, identifier)
        return True

    return put


def _taking(kind: str, identifier: str) -> Change:
    def take(write: Write, row: AddressMapRow) -> bool:
        member = map_rows.the_member(write.session, row.id, kind, identifier)
        return _tombstone(write, row, member, f"{kind} {identifier[:50]}")

    return take


def _tombstone(write: Write, row: AddressMapRow, entry: MapIpRow | MembershipRow | None, what: str) -> bool:
    if entry is None:
        raise Refusal(Kind.NOT_FOUND, f"address map {row.id} has no {what}: GET it to see what it has")
    entry.deleted_at = write.now
    return True

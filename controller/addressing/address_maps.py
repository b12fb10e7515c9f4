"""Address maps: which addresses of an account answer for which of its zones."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Response

from controller.addressing import address_map_rules as maps
from controller.addressing import map_rows
from controller.addressing.address_map_bodies import (
    AddressMapBody,
    CreateAddressMap,
    EditAddressMap,
    MapBare,
    PutManagement,
    WholeAddressMapBody,
    map_bare,
)
from controller.addressing.address_map_tables import AddressMapRow
from controller.addressing.auth import CallerDep
from controller.addressing.bodies import Envelope, Listing
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response, listing, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep

BASE = "/client/v4/accounts/{account_id}/addressing/address_maps"
MANAGEMENT = "/herald/v1/accounts/{account_id}/address_maps/{address_map_id}/management"

router = APIRouter(tags=["address_maps"])

MapId = Annotated[str, Path(max_length=200)]

OF_IPS = (
    Kind.INVALID_IP,
    Kind.NOT_WITHIN_PREFIX,
    Kind.PREFIX_NOT_APPROVED,
    Kind.IP_NOT_SERVED,
    Kind.IP_IN_ANOTHER_MAP,
)


@router.get(BASE, response_model=Listing[AddressMapBody])
def list_address_maps(account: AccountDep, context: ContextDep) -> Response:
    """All maps of the account, without addresses and members."""
    with context.store.read() as session:
        found = map_rows.maps_of(session, account)
    return json_response(listing([map_rows.body(m) for m in found]))


@router.post(
    BASE,
    response_model=Envelope[WholeAddressMapBody],
    responses=refuses(*OF_IPS, Kind.INVALID_MEMBER),
)
def create_address_map(account: AccountDep, body: CreateAddressMap, writer: WriterDep) -> Response:
    """Make a map, disabled unless ``enabled`` is true."""

    def work(write: Write) -> dict[str, Any]:
        row = AddressMapRow(
            id=uuid4().hex,
            account_id=account,
            description=body.description,
            default_sni=None,
            enabled=body.enabled is True,
            can_delete=True,
            can_modify_ips=True,
            created_at=write.now,
            modified_at=write.now,
        )
        write.session.add(row)
        write.session.flush()
        for index, text in enumerate(body.ips):
            pointer = f"/ips/{index}"
            ip = maps.canonical_ip(text, pointer)
            _once(text in body.ips[:index], f"address {ip}", pointer)
            map_rows.check_ip(write.session, row, ip, pointer, enabled=row.enabled)
            map_rows.put_ip(write, row, ip)
        for index, member in enumerate(body.memberships):
            pointer = f"/memberships/{index}"
            _once(member in body.memberships[:index], f"{member.kind} {member.identifier}", pointer)
            map_rows.check_member(
                write.session, account, member.kind, member.identifier, f"{pointer}/identifier"
            )
            map_rows.put_member(write, row, member.kind, member.identifier)
        write.shows(row)
        members = [f"{m.kind} {m.identifier}" for m in body.memberships]
        write.record(
            "create", "address_map", row.id, account, enabled=row.enabled, ips=body.ips, members=members
        )
        return success(map_rows.whole_body(write.session, row))

    return writer.run(work)


@router.get(BASE + "/{address_map_id}", response_model=Envelope[WholeAddressMapBody])
def get_address_map(account: AccountDep, address_map_id: MapId, context: ContextDep) -> Response:
    """One map, with its addresses and members."""
    with context.store.read() as session:
        row = map_rows.the_map(session, account, address_map_id)
        shown = map_rows.whole_body(session, row)
    return json_response(success(shown), headers={"ETag": etag(row)})


@router.patch(
    BASE + "/{address_map_id}",
    response_model=Envelope[AddressMapBody],
    responses=refuses(*OF_IPS, Kind.INVALID_SNI),
)
def edit_address_map(
    account: AccountDep, address_map_id: MapId, body: EditAddressMap, writer: WriterDep
) -> Response:
    """Change description or default SNI, enable or disable."""
    given = body.model_fields_set
    if not given:
        raise Refusal(Kind.MALFORMED_BODY, "nothing to change: give default_sni, description or enabled", "")
    if "enabled" in given and body.enabled is None:
        raise Refusal(Kind.MALFORMED_BODY, "enabled is null: give true or false, or leave it out", "/enabled")

    def work(write: Write) -> dict[str, Any]:
        row = map_rows.the_map(write.session, account, address_map_id)
        write.match(row)
        if "default_sni" in given:
            row.default_sni = maps.server_name(body.default_sni, "/default_sni")
        if "description" in given:
            row.description = body.description
        if body.enabled is not None:
            if body.enabled and not row.enabled:
                for entry in map_rows.ips_of(write.session, row.id):
                    map_rows.check_ip(write.session, row, entry.ip, "/enabled", enabled=True)
            row.enabled = body.enabled
        row.modified_at = write.now
        write.shows(row)
        write.record("edit", "address_map", row.id, account, **body.model_dump(include=given))
        return success(map_rows.body(row))

    return writer.run(work)


@router.delete(
    BASE + "/{address_map_id}",
    response_model=MapBare,
    responses=refuses(Kind.MAP_ENABLED, Kind.MAP_MANAGED),
)
def delete_address_map(account: AccountDep, address_map_id: MapId, writer: WriterDep) -> Response:
    """Delete a disabled map; it is tombstoned."""

    def work(write: Write) -> dict[str, Any]:
        row = map_rows.the_map(write.session, account, address_map_id)
        write.match(row)
        maps.may_delete(row.id, row.can_delete or write.caller.is_operator, row.enabled)
        row.deleted_at = write.now
        write.record("delete", "address_map", row.id, account)
        return map_bare()

    return writer.run(work)


@router.put(MANAGEMENT, response_model=AddressMapBody)
def put_management(
    account: AccountDep, address_map_id: MapId, body: PutManagement, caller: CallerDep, writer: WriterDep
) -> Response:
    """Keep a map for operators to change or delete, or give it to its account; operators only."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = map_rows.the_map(write.session, account, address_map_id)
        write.match(row)
        row.can_delete, row.can_modify_ips = body.can_delete, body.can_modify_ips
        row.modified_at = write.now
        write.shows(row)
        write.record("manage", "address_map", row.id, account, **body.model_dump())
        return map_rows.body(row)

    return writer.run(work)


def _once(is_there: bool, what: str, pointer: str) -> None:
    if is_there:
        raise Refusal(Kind.MALFORMED_BODY, f"{what} is given twice: give it once", pointer)

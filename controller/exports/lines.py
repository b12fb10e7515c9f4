"""One line of an export: values as JSON, and back again with every check that a store of any kind makes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, String, Table

from controller.addressing.rules import bounds
from controller.bgp import Prefix, PrefixError, parse_prefix
from controller.exports.errors import BadLineError
from controller.store import UtcDateTime

FORMAT = 1
LONGEST_LINE = 64 << 20
"""Bytes; a longer line is refused unread."""

TIME = re.compile(r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z")
UNTEXTUAL = re.compile("[\0\ud800-\udfff]")
LARGEST = {"INTEGER": 2**31 - 1, "BIGINT": 2**63 - 1}

Line = dict[str, Any]


def encode(line: Mapping[str, Any]) -> bytes:
    """Return a line with its line feed."""
    return msgspec.json.encode(line) + b"\n"


def decode(data: bytes, number: int) -> Line:
    """Return the object of a line; raises :class:`BadLineError`."""
    if not data.endswith(b"\n"):
        raise BadLineError(number, "it is cut off (a line ends with a line feed)")
    try:
        found = msgspec.json.decode(data, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLineError(number, f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise BadLineError(number, "it is no JSON object")
    return found


def row_line(table: Table, row: Mapping[str, Any]) -> Line:
    """Return the line of a row."""
    return {"table": str(table.name), "row": {str(c.name): _out(c, row[c.name]) for c in table.columns}}


def row_of(table: Table, given: object, number: int) -> dict[str, Any]:
    """Return a row's values as the store takes them; raises :class:`BadLineError` that names the field."""
    if not isinstance(given, dict):
        raise BadLineError(number, "a row is an object", f"{table.name}.row")
    for name in given:
        if name not in table.columns:
            raise BadLineError(number, f"{table.name} has no such field", f"{table.name}.{name}")
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name not in given:
            raise BadLineError(number, "it is missing", f"{table.name}.{column.name}")
        why, value = _in(column, given[column.name])
        if why:
            raise BadLineError(number, why, f"{table.name}.{column.name}")
        row[column.name] = value
    if {"cidr", "low", "high"} <= row.keys() and (row["low"], row["high"]) != bounds(Prefix(row["cidr"])):
        raise BadLineError(number, "low and high are not the ends of cidr", f"{table.name}.low")
    return row


def _out(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64encode(value).decode("ascii")
    if isinstance(column.type, UtcDateTime):
        return column.type.process_bind_param(value, None)  # type: ignore[arg-type]
    return value


def _in(column: Column[Any], value: Any) -> tuple[str, Any]:
    """Return why ``value`` cannot be in ``column`` (empty when it can), and what the store takes."""
    kind = column.type
    if value is None:
        return ("" if column.nullable else "it cannot be null"), None
    if isinstance(kind, Boolean):
        return ("" if isinstance(value, bool) else f"{value!r} is neither true nor false"), value
    if isinstance(kind, Integer):
        return _integer(column, value), value
    if isinstance(kind, JSON):
        return ("it has text that no store can keep" if _untextual(value) else ""), value
    return _written(column, value) if isinstance(value, str) else ("it must be text", None)


def _written(column: Column[Any], value: str) -> tuple[str, Any]:
    """As :func:`_in`, for what is written as text."""
    if isinstance(column.type, UtcDateTime):
        return _time(column.type, value)
    if not isinstance(column.type, LargeBinary):
        return _text(column, value), value
    try:
        return "", base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "it is no base64", None


def _integer(column: Column[Any], value: Any) -> str:
    largest = LARGEST["BIGINT" if "BIGINT" in str(column.type).upper() else "INTEGER"]
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{value!r} is no whole number"
    return "" if 0 <= value <= largest else f"{value} is not from 0 to {largest}"


def _text(column: Column[Any], value: str) -> str:
    longest = column.type.length if isinstance(column.type, String) else None
    if longest is not None and len(value) > longest:
        return f"it has {len(value)} characters: at most {longest} are allowed"
    if UNTEXTUAL.search(value):
        return "it has a NUL character or half of a surrogate pair"
    if column.name == "cidr":
        try:
            canonical = parse_prefix(value)
        except PrefixError as error:
            return str(error)
        if canonical != value:
            return f"{value} is written {canonical} in canonical form"
    return ""


def _time(kind: UtcDateTime, value: str) -> tuple[str, Any]:
    if TIME.fullmatch(value):
        try:
            return "", kind.process_result_value(value, None)  # type: ignore[arg-type]
        except ValueError:
            pass
    return f"{value!r} is no time such as 2026-01-02T03:04:05.000000Z", None


def _untextual(value: Any) -> bool:
    if isinstance(value, str):
        return UNTEXTUAL.search(value) is not None
    if isinstance(value, dict):
        return any(_untextual(k) or _untextual(v) for k, v in value.items())
    return isinstance(value, list) and any(_untextual(v) for v in value)

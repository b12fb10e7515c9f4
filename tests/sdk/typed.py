"""Whether what was sent is what a model of the SDK declares: nothing more, nothing less, of these types."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

EXTENSIONS = {name: frozenset({"configured", "operational", "observed"}) for name in ("Prefix", "BGPPrefix")}
"""What Herald adds, by model; documented, and nothing beside it."""

NULLABLE = frozenset(
    {
        # The TypeScript types say ``| null`` of these. An AS number or a description that is null where
        # something else is true would be a fault, so that the walk gives both.
        ("Prefix", "advertised_modified_at"),
        ("Prefix", "loa_document_id"),
        ("OnDemand", "advertised_modified_at"),
        ("BGPSignalOpts", "modified_at"),
        ("AdvertisementStatusGetResponse", "advertised_modified_at"),
        ("AdvertisementStatusEditResponse", "advertised_modified_at"),
        ("LOADocumentCreateResponse", "verified_at"),
        ("AddressMap", "default_sni"),
        ("AddressMapCreateResponse", "default_sni"),
        ("AddressMapGetResponse", "default_sni"),
    }
)


def problems(model: type[BaseModel], raw: Any, where: str = "") -> Iterator[str]:
    """Give each way in which ``raw``, as decoded from JSON, is not what ``model`` declares."""
    where = where or model.__name__
    if not isinstance(raw, dict):
        yield f"{where} is no object"
        return
    declared = {field.alias or name: field for name, field in model.model_fields.items()}
    for name in sorted(raw.keys() - declared.keys() - EXTENSIONS.get(model.__name__, frozenset())):
        yield f"{where}.{name} is not declared"
    for name in sorted(EXTENSIONS.get(model.__name__, frozenset()) - raw.keys()):
        yield f"{where}.{name} is missing"
    for name, field in declared.items():
        if name not in raw:
            yield f"{where}.{name} is missing"
        elif raw[name] is None:
            if (model.__name__, name) not in NULLABLE:
                yield f"{where}.{name} is null"
        else:
            yield from _mistyped(field.annotation, raw[name], f"{where}.{name}")


def _mistyped(wanted: Any, value: Any, where: str) -> Iterator[str]:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        choices = [choice for choice in get_args(wanted) if choice is not type(None)]
        found = [list(_mistyped(choice, value, where)) for choice in choices]
        if all(found):
            yield from found[0]
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mistyped(get_args(wanted)[0], item, f"{where}[{index}]")
    elif isinstance(wanted, type) and issubclass(wanted, BaseModel):
        yield from problems(wanted, value, where)
    elif not _is_a(wanted, value):
        yield f"{where} is {value!r}, no {getattr(wanted, '__name__', wanted)}"


def _is_a(wanted: Any, value: Any) -> bool:
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if wanted is datetime:
        return _is_time(value)
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is wanted


def _is_time(value: Any) -> bool:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return found.tzinfo is not None and found.utcoffset() == UTC.utcoffset(None)

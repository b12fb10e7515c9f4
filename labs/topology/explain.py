"""pydantic's findings as problems: a place in the file, what is wrong, what is allowed (pure)."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from labs.topology.marks import Place
from labs.topology.schema import Document

Note = Callable[[Place, str], None]
PLACEHOLDER_NAME = "lab"
_ENTRIES = {("topology", "nodes"), ("topology", "kinds"), ("topology", "groups")}


def validate(value: Any, note: Note) -> tuple[Document | None, list[Place]]:
    """Return the document, and the places of which something was left out of it because it is wrong.

    What is wrong is noted; the rest is kept, so that it can be checked further. None when what is left is
    no topology.
    """
    try:
        return Document.model_validate(value), []
    except ValidationError as error:
        found = _findings(error, value)
    for place, message in found:
        note(place, message)
    rest = copy.deepcopy(value)
    cut = [place for place in (_cut(place, rest) for place, _ in found) if place is not None]
    try:
        return Document.model_validate(rest), cut
    except ValidationError:
        return None, cut


def _findings(error: ValidationError, document: Any) -> list[tuple[Place, str]]:
    found: dict[Place, str] = {}
    for entry in error.errors(include_url=False, include_input=False):
        place, message = _explain(entry, document)
        found[place] = f"{found[place]}, or {message}" if place in found else message
    return list(found.items())


def _explain(entry: Any, document: Any) -> tuple[Place, str]:
    place = _in_document(tuple(entry["loc"]), document)
    if entry["type"] == "extra_forbidden":
        key, allowed = str(place[-1]), _allowed(place[:-1])
        return place, f"unknown key; {near_miss(key, allowed)}allowed: {', '.join(sorted(allowed))}"
    if entry["type"] == "missing":
        return place, "is missing"
    if entry["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return place, "must be a map of keys and values"
    message = " ".join(str(entry["msg"]).replace("Input should be", "must be").split())
    if entry["type"] == "string_type" and isinstance(_value(place, document), int | float):
        message += ": put it in quotes"
    return place, message.replace("must be a valid string", "must be text")


def near_miss(given: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean …? `` when one of ``allowed`` is close, else nothing."""
    near = difflib.get_close_matches(given, list(allowed), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _in_document(loc: Place, document: Any) -> Place:
    """Drop from pydantic's location what is not in the document (the tags of a union's members)."""
    place: list[str | int] = []
    value = document
    for i, part in enumerate(loc):
        if isinstance(value, dict) and isinstance(part, str):
            if part in value or i == len(loc) - 1:
                place.append(part)
                value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            place.append(part)
            value = value[part]
    return tuple(place)


def _value(place: Place, document: Any) -> Any:
    value = document
    for part in place:
        inside = isinstance(value, dict) or (isinstance(value, list) and isinstance(part, int))
        try:
            value = value[part] if inside else None
        except (KeyError, IndexError):
            return None
    return value


def _cut(place: Place, document: Any) -> Place | None:
    """Take what is wrong at ``place`` out of ``document``; return what was taken out.

    The entry of a node stays, empty, and so does a link's number: others refer to them. The lab's name gets
    a stand-in.
    """
    if place[:1] == ("name",):
        document["name"] = PLACEHOLDER_NAME
        return None
    if place[:2] == ("topology", "links") and len(place) > 2:
        document["topology"]["links"][place[2]] = None
        return place[:3]
    if place[:2] in _ENTRIES and len(place) == 3:
        document["topology"][place[1]][place[2]] = None
        return place
    for i, part in enumerate(place):  # a list is taken out as a whole: its items have numbers
        if isinstance(part, int):
            place = place[:i]
            break
    holder = _value(place[:-1], document)
    if isinstance(holder, dict) and place[-1] in holder:
        del holder[place[-1]]
        return place
    # A key is missing, so that what ought to have it goes; what was within another finding is gone already.
    return _cut(place[:-1], document) if len(place) > 2 and isinstance(holder, dict) else None


def _allowed(place: Place) -> list[str]:
    """Return the keys that may stand at ``place``."""
    model: type[BaseModel] = Document
    for part in place:
        if isinstance(part, int):
            continue
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = _model_in(field.annotation) or model
                break
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None

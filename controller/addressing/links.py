"""Links of the description (OpenAPI 3.1, Link Object): what was made leads to the routes about it.

``POST /things`` that answers with an object is linked to each ``… /things/{thing_id}`` and what lies below,
so that people and tools that follow the description find their way. Found from the paths alone.
"""

from __future__ import annotations

import re
from typing import Any

METHODS = ("get", "put", "post", "patch", "delete")


def add_links(description: dict[str, Any]) -> None:
    """Add links to each route that makes an object with an id."""
    paths: dict[str, dict[str, Any]] = description["paths"]
    for path, operations in paths.items():
        answer = operations.get("post", {}).get("responses", {}).get("200")
        pointer = None if answer is None else _id_pointer(description, answer)
        if pointer is None:
            continue
        kept = {name: f"$request.path.{name}" for name in re.findall(r"{(\w+)}", path)}
        for other, found in paths.items():
            below = re.fullmatch(re.escape(path) + r"/{(\w+)}(/[\w/]*)?", other)
            if below is None:
                continue
            parameters = {**kept, below[1]: f"$response.body#{pointer}"}
            for method in METHODS:
                if method in found:
                    operation_id = found[method]["operationId"]
                    answer.setdefault("links", {})[operation_id] = {
                        "operationId": operation_id,
                        "parameters": parameters,
                    }


def _id_pointer(description: dict[str, Any], answer: dict[str, Any]) -> str | None:
    """Return where the new object's id stands in the answer; None when it has none."""
    schema = _resolved(description, answer.get("content", {}).get("application/json", {}).get("schema", {}))
    properties = schema.get("properties", {})
    if "id" in properties:
        return "/id"
    result = _resolved(description, properties.get("result", {}))
    return "/result/id" if "id" in result.get("properties", {}) else None


def _resolved(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description["components"]["schemas"].get(name, schema)
    return found

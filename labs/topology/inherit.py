"""What a node inherits: defaults ← kind ← group ← node (pure).

As containerlab does it: maps are merged key by key, lists are joined without repeats (a bind replaces one
with the same target), stages are merged, anything else is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labs.topology.marks import Place
from labs.topology.schema import Config, NodeKeys, Stage, Stages, TopologyKeys


@dataclass(slots=True)
class Resolved:
    """A node with all that it inherits; ``places`` say where in the file each key, list item and map entry
    stands: ``("binds", 0)``, ``("labels", "herald.kind")``, ``("image",)``.
    """

    keys: NodeKeys
    places: dict[Place, Place] = field(default_factory=dict)

    def place(self, *inner: str | int) -> Place:
        """Return where ``inner`` stands, or the nearest place around it; ``()`` when nowhere."""
        while inner and inner not in self.places:
            inner = inner[:-1]
        return self.places.get(inner, ())


def group_of(name: str, keys: TopologyKeys) -> tuple[str, Place] | None:
    """Return a node's group (its own, its kind's or the defaults'), and where it is named."""
    own = keys.nodes[name] or NodeKeys()
    kind = own.kind or (keys.defaults.kind if keys.defaults else None)
    for layer, place in (
        (own, ("topology", "nodes", name)),
        (keys.kinds.get(kind) if kind else None, ("topology", "kinds", kind or "")),
        (keys.defaults, ("topology", "defaults")),
    ):
        if layer is not None and layer.group is not None:
            return layer.group, (*place, "group")
    return None


def resolve(name: str, keys: TopologyKeys) -> Resolved:
    """Return the node ``name`` with all that it inherits."""
    own = keys.nodes[name] or NodeKeys()
    defaults = keys.defaults or NodeKeys()
    named = group_of(name, keys)
    group = (keys.groups.get(named[0]) if named else None) or NodeKeys()
    kind_name = own.kind or group.kind or defaults.kind
    kind = (keys.kinds.get(kind_name) if kind_name else None) or NodeKeys()
    result = Resolved(NodeKeys(), {(): ("topology", "nodes", name)})
    for layer, place in (
        (defaults, ("topology", "defaults")),
        (kind, ("topology", "kinds", kind_name or "")),
        (group, ("topology", "groups", named[0] if named else "")),
        (own, ("topology", "nodes", name)),
    ):
        _lay_over(result, layer, place)
    result.keys = result.keys.model_copy(update={"kind": kind_name})
    return result


def _lay_over(below: Resolved, above: NodeKeys, place: Place) -> None:
    update: dict[str, Any] = {}
    for name in above.model_fields_set:
        new, old = getattr(above, name), getattr(below.keys, name)
        if new is None:
            continue
        key = name.replace("_", "-")
        here = (*place, key)
        if isinstance(new, dict) and isinstance(old, dict):
            update[name] = {**old, **new}
            below.places.update({(key, inner): (*here, inner) for inner in new})
        elif isinstance(new, list) and isinstance(old, list):
            update[name] = _joined(below, key, old, [(item, (*here, i)) for i, item in enumerate(new)])
        elif isinstance(new, Config) and isinstance(old, Config):
            update[name] = Config(vars=_merged_vars(old.vars, new.vars))
        elif isinstance(new, Stages) and isinstance(old, Stages):
            update[name] = _merged_stages(old, new)
        else:
            update[name] = new
            if isinstance(new, list | dict):
                inner = new if isinstance(new, dict) else range(len(new))
                below.places.update({(key, i): (*here, i) for i in inner})
        below.places[key,] = here
    below.keys = below.keys.model_copy(update=update)


def _joined(below: Resolved, key: str, old: list[Any], added: list[tuple[Any, Place]]) -> list[Any]:
    """Join lists, and renumber the items' places."""
    items = [(item, below.places.get((key, i), ())) for i, item in enumerate(old)]
    if key == "binds":
        targets = {_target(bind) for bind, _ in added}
        items = [(bind, place) for bind, place in items if _target(bind) not in targets] + added
    else:
        items += [(item, place) for item, place in added if item not in old]
    for inner in [p for p in below.places if len(p) == 2 and p[0] == key]:
        del below.places[inner]
    below.places.update({(key, i): place for i, (_, place) in enumerate(items)})
    return [item for item, _ in items]


def _merged_vars(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merged_vars(before, value)
        else:
            merged[key] = value
    return merged


def _merged_stages(old: Stages, new: Stages) -> Stages:
    merged: dict[str, Stage | None] = {}
    for name in new.model_fields_set | old.model_fields_set:
        a: Stage | None = getattr(old, name)
        b: Stage | None = getattr(new, name)
        if a is not None and b is not None:
            merged[name] = Stage.model_validate(
                {"wait-for": [*a.wait_for, *b.wait_for], "exec": [*a.exec, *b.exec]}
            )
        else:
            merged[name] = b or a
    return Stages().model_copy(update=merged)


def _target(bind: str) -> str:
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else bind

"""What a node inherits: defaults ← kind ← group ← node (pure).

Maps are merged key by key, lists are joined (a bind replaces one with the same target), anything else is
replaced.
"""

from __future__ import annotations

from typing import Any

from labs.topology.schema import Config, NodeKeys, TopologyKeys


def resolve(name: str, keys: TopologyKeys) -> NodeKeys:
    """Return the node ``name`` with all that it inherits."""
    own = keys.nodes[name] or NodeKeys()
    defaults = keys.defaults or NodeKeys()
    group = (keys.groups.get(own.group) if own.group else None) or NodeKeys()
    kind_name = own.kind or group.kind or defaults.kind
    kind = (keys.kinds.get(kind_name) if kind_name else None) or NodeKeys()
    result = defaults
    for layer in (kind, group, own):
        result = _over(result, layer)
    return result.model_copy(update={"kind": kind_name})


def _over(below: NodeKeys, above: NodeKeys) -> NodeKeys:
    update: dict[str, Any] = {}
    for field in above.model_fields_set:
        new, old = getattr(above, field), getattr(below, field)
        if isinstance(new, dict) and isinstance(old, dict):
            update[field] = {**old, **new}
        elif field == "binds":
            targets = {_target(bind) for bind in new}
            update[field] = [bind for bind in old if _target(bind) not in targets] + new
        elif isinstance(new, list) and isinstance(old, list):
            update[field] = old + new
        elif isinstance(new, Config) and isinstance(old, Config):
            update[field] = Config(vars={**old.vars, **new.vars})
        elif new is not None:
            update[field] = new
    return below.model_copy(update=update)


def _target(bind: str) -> str:
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else bind

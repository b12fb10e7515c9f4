"""One module a kind of daemon: how it is started, and its own sign of readiness."""

from __future__ import annotations

from labs.nodes import bird, exabgp, frr, gobgp, linux, openbgpd
from labs.nodes.model import Kind
from labs.runtimes.errors import LabStartError

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND for module in (bird, frr, gobgp, openbgpd, exabgp, linux)
}


def kind_of(daemon: str) -> Kind:
    """Return the kind called ``daemon`` (the label ``herald.kind``)."""
    try:
        return KINDS[daemon]
    except KeyError:
        known = ", ".join(KINDS)
        raise LabStartError(f"no daemon {daemon!r} (label herald.kind): there are {known}") from None

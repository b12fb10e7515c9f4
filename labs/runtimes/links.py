"""A topology's links and a node's commands as input of ``ip -batch`` (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labs.runtimes.errors import LabStartError
from labs.topology.model import LinkSpec


def link_lines(links: Iterable[LinkSpec]) -> list[str]:
    """Return one line of ``ip -batch`` a link; nodes are namespaces' names in ``/run/netns``."""
    return [_link_line(link) for link in links]


def _link_line(link: LinkSpec) -> str:
    first = link.endpoints[0]
    near = f"link add name {first.interface} netns {first.node} mtu {link.mtu}"
    if link.kind == "dummy":
        return f"{near} type dummy"
    if link.kind == "host":
        raise LabStartError(
            f"link {first.node}:{first.interface}: the netns runtime makes no links to the host "
            "(nothing of a lab may leak): use kind veth between nodes"
        )
    far = link.endpoints[1]
    return f"{near} type veth peer name {far.interface} netns {far.node} mtu {link.mtu}"


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of a node to run at once: a batch of ``ip`` (its lines), or one other program."""

    batch: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def steps(interfaces: Iterable[str], commands: Iterable[Sequence[str]]) -> list[Step]:
    """Return what brings a node's interfaces up, runs its ``exec`` commands in order, and shows addresses.

    Consecutive ``ip`` commands become one batch; the last step is a batch whose last line is ``addr show``.
    """
    done: list[Step] = []
    batch = [f"link set {name} up" for name in ("lo", *interfaces)]
    for words in commands:
        if _fits_batch(words):
            batch.append(" ".join(words[1:]))
            continue
        if batch:
            done.append(Step(batch=tuple(batch)))
        done.append(Step(command=tuple(words)))
        batch = []
    return [*done, Step(batch=(*batch, "addr show"))]


def _fits_batch(words: Sequence[str]) -> bool:
    """Say whether a command may be a line of a batch: ``ip`` without options, and nothing to quote."""
    if words[0] != "ip" or len(words) < 2 or words[1].startswith("-"):
        return False
    return not any(c.isspace() or c in "\"'\\#" for word in words for c in word)


def failed_line(output: str) -> int | None:
    """Return which line of a batch failed (from 0), as ``ip`` tells it: ``Command failed -:LINE``."""
    for line in output.splitlines():
        if line.startswith("Command failed ") and line.rpartition(":")[2].isdigit():
            return int(line.rpartition(":")[2]) - 1
    return None

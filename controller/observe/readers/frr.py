"""FRR's RIB and sessions, by bgpd's vty socket (no vtysh)."""

from __future__ import annotations

from pathlib import Path

from controller.bgp import Family, Prefix, family_of
from controller.observe.inventory import Node
from controller.observe.readers.conversation import Conversation
from controller.observe.readers.frr_reply import (
    complete,
    read_answer,
    read_destination,
    read_sessions,
    read_table,
)
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow


def read(node: Node, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return the candidates in FRR's Loc-RIB."""
    with _open(node, source, deadline_s) as talk:
        if prefix is not None:
            question = f"show bgp {family_of(prefix).value} unicast {prefix} json"
            return read_destination(source, prefix, _ask(talk, question))
        return [
            row
            for family in Family
            for row in read_table(source, _ask(talk, f"show bgp {family.value} unicast json detail"))
        ]


def sessions(node: Node, source: Source, deadline_s: float) -> list[Session]:
    """Return FRR's BGP sessions."""
    with _open(node, source, deadline_s) as talk:
        return read_sessions(source, _ask(talk, "show bgp summary json"))


def _open(node: Node, source: Source, deadline_s: float) -> Conversation:
    return Conversation(source, Path(node.run) / "frr" / "bgpd.vty", deadline_s)


def _ask(talk: Conversation, question: str) -> bytes:
    return read_answer(talk.source, question, talk.ask(question.encode() + b"\0", complete))

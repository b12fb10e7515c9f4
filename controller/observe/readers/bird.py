"""BIRD's RIB and sessions, by its control socket (no birdc)."""

from __future__ import annotations

from pathlib import Path

from controller.bgp import Prefix
from controller.observe.inventory import Node
from controller.observe.readers.bird_reply import (
    NOT_FOUND,
    Protocols,
    Reply,
    complete,
    family_question,
    read_protocols,
    read_reply,
    read_routes,
    wanted,
)
from controller.observe.readers.conversation import Conversation
from controller.observe.readers.session import Session
from controller.observe.readers.source import Source
from controller.observe.rib import RibRow

_ERRORS = 8000


def read(node: Node, source: Source, prefix: Prefix | None, deadline_s: float) -> list[RibRow]:
    """Return the candidates in BIRD's Loc-RIB."""
    with _open(node, source, deadline_s) as talk:
        rows: list[RibRow] = []
        for table in wanted(_protocols(talk).tables, prefix):
            reply = _ask(talk, family_question(table, prefix), allowed=NOT_FOUND)
            rows += read_routes(source, reply)
        return rows


def sessions(node: Node, source: Source, deadline_s: float) -> list[Session]:
    """Return BIRD's BGP sessions."""
    with _open(node, source, deadline_s) as talk:
        return list(_protocols(talk).sessions)


def _open(node: Node, source: Source, deadline_s: float) -> Conversation:
    talk = Conversation(source, Path(node.run) / "bird" / "bird.ctl", deadline_s)
    read_reply(source, talk.ask(b"", complete))  # the greeting
    return talk


def _protocols(talk: Conversation) -> Protocols:
    return read_protocols(talk.source, _ask(talk, "show protocols all"))


def _ask(talk: Conversation, question: str, allowed: int = 0) -> Reply:
    reply = read_reply(talk.source, talk.ask(question.encode() + b"\n", complete))
    if reply.code >= _ERRORS and reply.code != allowed:
        raise talk.source.refused(question, f"{reply.code} {reply.said}")
    return reply

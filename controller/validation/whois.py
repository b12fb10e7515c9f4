"""Questions to RIPE-style whois servers, and what their answers mean (pure; RFC 3912)."""

from __future__ import annotations

import re

from controller.bgp import Family, Prefix, family_of
from controller.validation.errors import WhoisError
from controller.validation.rpsl import RouteObject, route_objects

LARGEST = 1 << 20
"""Octets of an answer that are taken; one prefix has a few kilobytes at most."""

NOTHING_FOUND = re.compile(r"^%\s*(ERROR:101:|.*no entries found)", re.IGNORECASE | re.MULTILINE)
ERROR = re.compile(r"^%\s*ERROR:?\s*(.*)", re.IGNORECASE | re.MULTILINE)


def question(prefix: Prefix) -> bytes:
    """Return the query for the route objects of ``prefix``: those alone, without contacts (``-r``)."""
    kind = "route6" if family_of(prefix) is Family.IPV6 else "route"
    return f"-r -T {kind} {prefix}\r\n".encode("ascii")


def read_answer(body: bytes, server: str) -> tuple[RouteObject, ...]:
    """Return the route objects in an answer; none when the server says that it has none.

    Registries hold names in Latin-1, so what is no UTF-8 is read as that; what matters here is ASCII.
    Raises :class:`WhoisError` for an answer that is empty, too long, cut off, or an error of the server's;
    :class:`~controller.validation.errors.RpslError` for one that is not RPSL.
    """
    if len(body) > LARGEST:
        raise WhoisError(f"{server} gave more than {LARGEST} octets for one prefix")
    if not body.strip():
        raise WhoisError(f"{server} gave an empty answer")
    if not body.endswith(b"\n"):
        raise WhoisError(f"{server} broke off in the middle of a line")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    if NOTHING_FOUND.search(text):
        return ()
    if error := ERROR.search(text):
        raise WhoisError(f"{server} answered with an error: {' '.join(error[1].split())[:200]}")
    found = route_objects(text)
    if not found and not any(line and line[0] not in "%#" for line in text.splitlines()):
        raise WhoisError(f"{server} gave comments alone, and did not say that it found nothing")
    return found

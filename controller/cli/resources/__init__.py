"""The API's resources, a short module each: their columns, and what each command asks for.

A module has its group as ``app`` (:class:`controller.cli.frame.Commands`); GROUPS names them all, with what
``herald --help`` says of them, so that each is loaded only when one of its commands is asked for.
"""

from __future__ import annotations

GROUPS = (
    ("prefixes", "Onboarded prefixes: list, show, add, change, approve, delete."),
    ("bgp-prefixes", "The advertisable parts of prefixes: list, show, add, change, delete."),
    ("bindings", "Services bound to prefixes: list, show, add, delete."),
    ("accounts", "Customers' accounts."),
    ("services", "Services that may be bound to prefixes."),
    ("tokens", "Bearer tokens: issue, list, revoke (operators)."),
)
"""Name and help; the module is the name with underscores."""

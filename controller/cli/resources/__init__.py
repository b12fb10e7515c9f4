"""The API's resources, a short module each: their columns, and what each command asks for.

A module has its group as ``app`` (:class:`controller.cli.frame.Commands`); GROUPS names them all, with what
``herald --help`` says of them, so that each is loaded only when one of its commands is asked for.
"""

from __future__ import annotations

GROUPS = (
    ("prefixes", "Onboarded prefixes: list, show, add, change, approve, delete."),
    ("bgp-prefixes", "The advertisable parts of prefixes: list, show, add, change, delete."),
    ("bindings", "Services bound to prefixes: list, show, add, delete."),
    ("delegations", "Parts of prefixes that other accounts may use: list, show, add, change, delete."),
    ("address-maps", "Which addresses answer for which zones: list, show, add, change, delete."),
    ("loa", "Letters of authorization: list, show, add, download, verify, withdraw."),
    ("accounts", "Customers' accounts."),
    ("services", "Services that may be bound to prefixes."),
    ("tokens", "Bearer tokens: list, show, add, delete."),
    ("validation", "Sources of RPKI, IRR and DNS, and how the checks stand: status, accept."),
    ("audit", "Who did what, when, from where and why: list, verify."),
)
"""Name and help; the module is the name with underscores."""

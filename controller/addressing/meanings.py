"""What each refusal means and what to do about it, in general (pure): for the description and docs/errors.md.

A refusal's own message is about the very value; this is about the kind. ``tests/unit/test_error_docs.py``
holds that every kind is here.
"""

from __future__ import annotations

from controller.addressing.errors import Kind

MEANINGS: dict[Kind, tuple[str, str]] = {
    Kind.MALFORMED_QUERY: (
        "a parameter of the query is unknown, empty, repeated or of the wrong form",
        "send what the route declares, each once and with a value",
    ),
    Kind.MALFORMED_BODY: (
        "the body is no JSON, or a field is unknown, missing or of the wrong type",
        "look at the pointer and at the description of the route",
    ),
    Kind.MALFORMED_HEADER: ("a header is repeated, empty or of the wrong form", "send it once, as described"),
    Kind.MEDIA_TYPE: ("the body is of a type that the route does not take", "send the type that it declares"),
    Kind.BODY_TOO_LARGE: ("the body is larger than the route takes", "send less at a time"),
    Kind.INVALID_PREFIX: (
        "this is no prefix that could be used here: host bits, too long or short, special-purpose space",
        "give your own prefix in canonical form",
    ),
    Kind.INVALID_ASN: ("this cannot be an origin AS", "give your own AS number, or null for the operator's"),
    Kind.INVALID_SITE: ("there is no such site", "name sites that there are, or null for all"),
    Kind.PREFIX_OVERLAPS: (
        "another account has onboarded a part of it",
        "ask the operator if the space is yours",
    ),
    Kind.NOT_WITHIN_PREFIX: ("the CIDR lies outside the prefix", "give a part of the prefix"),
    Kind.PREFIX_NOT_APPROVED: ("nobody has approved the prefix yet", "wait for the operator's approval"),
    Kind.INCOMPLETE_DEPLOYMENT: (
        "no service would answer for the addresses",
        "bind a service to all of the prefix first",
    ),
    Kind.STATE_LOCKED: ("the advertisement is locked", "ask the operator"),
    Kind.DEFAULT_BINDING_FIRST: (
        "the first binding must be for all of the prefix",
        "bind the whole prefix, then the part",
    ),
    Kind.DEFAULT_BINDING_ONLY: (
        "this service can only be bound to a whole prefix",
        "bind it to the prefix itself",
    ),
    Kind.STILL_ADVERTISED: ("an advertised BGP prefix stands on it", "withdraw it first"),
    Kind.STILL_APPROVED: (
        "the prefix is approved, and this route only takes back what is not",
        "ask for its deletion",
    ),
    Kind.ALREADY_EXISTS: ("there is one already", "use that one"),
    Kind.BINDING_IN_USE: ("other bindings stand on this one", "delete those first"),
    Kind.VALIDATION_BLOCKS: (
        "a check of the prefix is not valid, and lets nothing new be announced",
        "publish what the message names, then have the prefix validated again",
    ),
    Kind.APPROVAL_NEEDS_REASON: (
        "not all checks of the prefix are valid",
        "say in Herald-Reason why you approve it, or wait for the checks",
    ),
    Kind.NOTHING_TO_ACCEPT: (
        "the source has no refused set of that size",
        "look at GET /herald/v1/validation again",
    ),
    Kind.KEY_REUSED: ("the key was used for another request", "use a new key for a new request"),
    Kind.PRECONDITION_FAILED: ("the object was changed since it was read", "read it again and decide anew"),
    Kind.NOT_FOUND: ("there is nothing of that id here", "list what there is"),
    Kind.METHOD_NOT_ALLOWED: ("the path does not take this method", "see the Allow header"),
    Kind.NOT_IN_THIS_VERSION: ("this version does not have it", "see the changelog"),
    Kind.UNAUTHENTICATED: ("no token, or none that is valid", "send Authorization: Bearer TOKEN"),
    Kind.FORBIDDEN: ("the token may not do this", "use a token that may"),
    Kind.UNAVAILABLE: ("the store cannot be used at the moment", "try again"),
    Kind.INTERNAL: ("a fault of Herald's, which was logged", "tell the operator"),
}


def example(kind: Kind) -> str:
    """Return a message as such a refusal has one."""
    meaning, remedy = MEANINGS.get(kind, ("what is wrong with which value", "what to do"))
    return f"{kind.label}: {meaning}: {remedy}"


def page() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Refusals of the Addressing API",
        "",
        "Made from `controller/addressing/meanings.py` by `scripts/docs`. A refused request changes",
        "nothing; its message begins with the name and speaks of the very value.",
        "",
        "| name | status | code | what it means | what to do |",
        "|---|---|---|---|---|",
    ]
    for kind in sorted(Kind, key=lambda k: (k.status, k.code)):
        meaning, remedy = MEANINGS[kind]
        lines.append(f"| `{kind.label}` | {kind.status} | {kind.code} | {meaning} | {remedy} |")
    return "\n".join(lines) + "\n"

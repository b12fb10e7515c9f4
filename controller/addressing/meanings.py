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
    Kind.PREFIX_TOMBSTONED: (
        "the prefix is deleted, and its space is kept for the time of grace",
        "undelete it, or wait until it is purged",
    ),
    Kind.COUNT_DISAGREES: (
        "the ids, the selector and the expected count do not agree",
        "look at the list again and send the count that you mean",
    ),
    Kind.NOT_PENDING_DELETE: ("its owner has not asked for its deletion", "leave it, or have the owner ask"),
    Kind.WITHDRAWAL_LOCKED: (
        "its owner has locked it against anything subtractive",
        "the owner takes the lock off",
    ),
    Kind.INTENT_DOES_NOT_COVER: (
        "the named intent does not cover all effects of the write",
        "ask for one that does, or do less",
    ),
    Kind.INTENT_NOT_USABLE: (
        "the named intent is unknown, unconfirmed, expired or used",
        "ask for a new one",
    ),
    Kind.SECOND_OPERATOR: ("who asked cannot confirm", "let another operator confirm"),
    Kind.GRACE_IS_OVER: ("the time in which it could be brought back is over", "onboard the prefix anew"),
    Kind.GRACE_NOT_OVER: ("the prefix can still be brought back", "wait until its time of grace is over"),
    Kind.UNLOCK_REFUSED: (
        "the signature or code does not open this lock",
        "sign the lock's challenge, or send the code",
    ),
    Kind.UNLOCK_PAUSED: ("there were too many wrong tries", "wait as long as the message says"),
    Kind.NOT_IN_THAT_STATE: ("it is in a state in which this cannot be done", "look at its state"),
    Kind.OUTSIDE_WINDOW: (
        "now is not within the migration's window",
        "wait for it, or plan another migration",
    ),
    Kind.REVOKED: (
        "the revocation ledger forbids it",
        "see the ledger; an operator may approve it again",
    ),
    Kind.UNKNOWN_PREFIX: ("a named prefix is not there", "list the prefixes again"),
    Kind.NAMED_TWICE: ("something is named twice", "name each once"),
    Kind.CONFIRMATION_DIFFERS: ("this is not the code that was given for it", "send the code of the plan"),
    Kind.NOT_THE_OWNER: (
        "a part of the prefix is delegated to you, and this is for its owner",
        "ask the owner",
    ),
    Kind.INVALID_ACCOUNT: ("this account cannot be meant here", "name another account that there is"),
    Kind.DELEGATION_OVERLAPS: (
        "another delegation has a part of it",
        "end that one first, or give another part",
    ),
    Kind.DELEGATION_IN_USE: (
        "the delegated account has bound or advertises something in it",
        "remove that first",
    ),
    Kind.NOT_WITHIN_DELEGATION: (
        "the CIDR lies outside what was delegated to you",
        "give a part of the delegation",
    ),
    Kind.MAY_NOT_ADVERTISE: ("the delegation does not include advertising", "ask the owner to allow it"),
    Kind.NOT_A_PDF: ("the document is no PDF", "send the letter as a PDF"),
    Kind.DOCUMENT_TOO_LARGE: ("the document is larger than 10 MB", "send a smaller one"),
    Kind.UNKNOWN_LETTER: ("the account has no letter of that id", "upload it first"),
    Kind.LETTER_WITHDRAWN: ("the letter that allowed it was withdrawn", "upload a new one"),
    Kind.MALFORMED_UPLOAD: ("the form is not as the route takes it", "send one part, loa_document"),
    Kind.MAP_ENABLED: ("the map is enabled", "disable it first"),
    Kind.MAP_MANAGED: ("the map is the operator's to change", "ask the operator"),
    Kind.INVALID_IP: ("this is no address in canonical form", "give one IPv4 or IPv6 address"),
    Kind.IP_IN_ANOTHER_MAP: ("another enabled map has the address", "take it out of that one first"),
    Kind.IP_NOT_SERVED: ("no service would answer at the address", "bind one to its prefix first"),
    Kind.INVALID_MEMBER: ("this cannot be a member of the map", "name your own account, or a zone"),
    Kind.INVALID_SNI: ("this is no host name", "give a name of letters, digits, hyphens and dots"),
    Kind.SCOPE_NOT_OPEN: ("the breaker is not open in that scope", "look at what is (herald breaker show)"),
    Kind.SCOPE_OPEN: ("an open scope of the breaker holds it, too", "an operator closes the scope"),
    Kind.QUEUE_CHANGED: ("the queue is not the one that was looked at", "look at it again, and decide on it"),
    Kind.UNDECIDED: ("a group of the queue has no decision, or another has", "decide on each of its groups"),
    Kind.INTENT_NEEDED: (
        "it takes away what neither its owner nor two operators asked for",
        "name the intent of two operators, or let the owner decide",
    ),
    Kind.FROZEN: (
        "somebody has frozen it, and this would take something away",
        "wait until who froze it lifts that; announcing works",
    ),
    Kind.DRAIN_REFUSED: (
        "the site may not be drained now: too little of it is seen elsewhere, or too much is drained already",
        "see by a dry run why each prefix stays, and announce those at more sites first",
    ),
    Kind.BAD_FREEZE: ("the freeze makes no sense", "give a known scope, a reason, and an end in the future"),
    Kind.TASK_STOPPED: ("somebody stopped the task, or all tasks", "ask why; herald tasks start"),
    Kind.PLAN_CHANGED: ("the run waits with another plan", "look at that one, and approve it by its hash"),
    Kind.RATE_LIMITED: ("too many calls in the window", "wait as long as Retry-After says"),
    Kind.BODY_TOO_SLOW: ("the body did not come in time", "send it without pauses"),
    Kind.HEADERS_TOO_LARGE: ("there are too many headers, or too long ones", "send fewer"),
    Kind.OUT_OF_SCOPE: ("the token's scopes do not include this", "use a token with that scope"),
    Kind.WIDER_TOKEN: ("a token cannot make one that may more than itself", "ask for less"),
    Kind.REASON_REQUIRED: ("this must have a reason", "say why in Herald-Reason"),
    Kind.SNAPSHOT_THINNED: (
        "the history before the snapshot was let go, and its tree is not whole any more",
        "go back to a younger one",
    ),
    Kind.CHUNK_DAMAGED: (
        "what was kept of an account is damaged, and is refused whole",
        "restore the store from a copy, or leave that account out",
    ),
    Kind.NOT_PINNED: ("there is nothing to decide about it", "look at the account's pin"),
    Kind.ROLLED_BACK: (
        "the account was rolled back, and nothing may be taken away before that has been decided on",
        "wait until an operator has kept or dropped each change-set since; announcing works",
    ),
    Kind.ACCOUNTS_MOVED: (
        "accounts have changed since the snapshot that the plan was made from",
        "look at the plan again, and send what it is based on now",
    ),
    Kind.WEBHOOK_TARGET: (
        "notifications may not be sent to that address",
        "give an https URL of a public host",
    ),
    Kind.UNKNOWN_EVENT_TYPE: ("there are no events of that type", "see docs/webhooks.md"),
    Kind.TOO_MANY_WEBHOOKS: ("the account has as many webhooks as it may have", "remove one"),
    Kind.WEBHOOK_DISABLED: ("the webhook is disabled", "enable it again"),
    Kind.DELIVERY_PENDING: ("the delivery is still being tried", "wait for it"),
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

"""The controller's guards over the store: what was counted, what is held and why, breaker and freezes.

The decisions are ``controller.safety``'s and pure; this room remembers for them, so that a crash or a restart
forgets nothing, and obeys what they say::

    admission   judges one change-set: compile, effects, intents, verdict; passed, held, or kept waiting
    ledger      the effects of late, which the windows count
    holds       what is held, what waits behind it, what was decided about it
    openings    the breaker's open scopes: since when, why, who was told, how each was closed
    elsewhere   what migrations wait for: prefixes that were seen elsewhere of late
    signals     takes in what was observed from day to day: a matter for the breaker
    drains      which sites are to be out of use
    freezes     what nobody may take away from until its owner lifts it
    queue       the queue of held change-sets by group, and its hash (pure)
    degraded    tells of routes that too few machines of a site serve
    audience    who is told of an open scope at each deadline, each time wider
    telling     tells accounts and operators, in the transaction of what happened
    …_routes    the same over HTTP, for operators (and for owners what is theirs)

May depend on ``controller.bgp``, ``controller.safety``, ``controller.snapshots``, ``controller.store`` and
``controller.timeline``; its routes on ``controller.addressing`` for who calls and how writes are recorded.
Never on ``controller.rollout``, which calls it.
"""

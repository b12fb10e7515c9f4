"""Whether a prefix may be announced by whom it says: IRR, RPKI and ownership, looked up on real data.

From the wire up: ``rtr_pdu`` and ``rtr_client`` (RFC 8210, 6810; bytes in, facts out), ``vrps`` (origin
validation, RFC 6811), ``vrp_export`` and ``acceptance`` (JSON exports; what has shrunk is no truth),
``rpsl`` and ``whois`` (RFC 2622, 3912), ``reverse`` and ``ownership`` (the token), ``verdicts`` (what
answers mean) and ``checks`` (what is kept of them): all pure. ``rtr_session``, ``vrp_fetch``,
``whois_query`` and ``txt`` are the edges; ``feeds`` and ``sources`` put them together as ``config`` says.

Nothing here withdraws anything, or could: it gives answers, and knows no change-sets (SAFETY.md, 11).
May depend on ``controller.bgp`` and ``controller.errors`` and nothing else of Herald. ``addressing`` (and
``serve``, which starts it) may depend on it, and nobody else.
"""

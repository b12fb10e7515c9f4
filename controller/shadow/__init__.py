"""``herald shadow``: a candidate release on a copy of production's data; what it would do (SAFETY.md, 12).

The outage of 2026-02-20 began with a release that lay dormant until its task ran for the first time. Here it
runs for the first time on a copy: ``copying`` makes a private one from which nobody can be told anything
(``requests`` signs its owners' requests anew), ``candidate`` starts the release's own ``herald serve`` on it,
in a network namespace of its own where the host allows it, with sites that nobody serves; ``driving`` lets
its tasks run at once, approving whatever they ask for. Then ``reading`` reads the copy as it was and as it
is, with no help of the candidate's, into ``facts``, and ``compare`` (both pure) says what would have been
taken away, from whom, and who had asked for it. ``compiled`` is run by the candidate's interpreter: what it
makes of the same rows. ``run`` does it all in order.

May depend on ``store``, ``exports``, ``addressing``, ``snapshots``, ``safety``; only ``cli`` depends on it.
"""

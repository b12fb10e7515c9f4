"""Drains: a site is taken out of use, and comes back exactly as it is to be by then (SAFETY.md, 5).

What may go is ``controller.safety.drain_plan``'s to say, and pure; this room gives it what it needs to know::

    foreseen    the prefixes that the site is to announce, who sees them where, locks and freezes
    showing     a drain as the API shows it: what was asked for, and how far the agents are
    deciding    ask, confirm (a second operator), lift
    routes      the same over HTTP, and what there is

Agents are told by ``controller.rollout.draining``. It stands beside ``controller.addressing``, and on
``controller.guard``, ``controller.safety``, ``controller.snapshots`` and the tables and the driver of
``controller.rollout``. Nothing below depends on it.
"""

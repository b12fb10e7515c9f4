"""Rollbacks: back to a snapshot for one, several or all accounts, and what its pins leave to decide.

The decision is ``controller.snapshots.rollback``'s and pure; this room gives it what it needs to know, and
carries it out in one transaction::

    limits       what an account may not have back, and what nobody may take: ledger, ownership, locks
    foreseen     the plan, from the store: it reads the accounts that differ and no others
    undone       which change-sets a rollback undoes or keeps back, for somebody to decide on
    carrying     the record, the pins, the two change-sets of each account
    deciding     keep or drop: what is kept is asked for anew, what is dropped leaves the configured state
    configured   puts configured rows to what the operational state says
    showing      a rollback, its progress and pins as the API shows them
    routes, pin_routes

It stands beside ``controller.addressing``, whose tables and writes it uses, and on ``controller.snapshots``,
``controller.safety``, the tables of ``controller.rollout`` and ``controller.guard``, and the crash points.
Nothing below depends on it.
"""

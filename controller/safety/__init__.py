"""The safety model's decisions (pure): effects, intents, and later breaker, budgets, freezes, revocations.

Nothing here does I/O or reads a clock: times are arguments. May depend on ``controller.bgp``,
``controller.errors`` and ``controller.snapshots`` (its pure modules).
"""

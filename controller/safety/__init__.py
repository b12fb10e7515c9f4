"""The safety model's decisions (pure): intents, effects, assessment, breaker, budgets, freezes, keepers.

A candidate's effects (``effects``) are judged in their context (``candidate``) by named checks (``checks``,
``excess``) into a verdict (``assess``, ``verdict``); ``windows`` counts what was admitted and tried, and
``breaker`` holds what is too much. ``drain_plan`` says what of a site may be drained, ``drain`` what that
means. ``budget``, ``keepers`` and ``registry`` are what an agent decides with, alone.

Nothing here does I/O or reads a clock: times are arguments. May depend on ``controller.bgp``,
``controller.errors`` and ``controller.snapshots`` (its pure modules).
"""

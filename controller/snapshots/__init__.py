"""What production is to be: account chunks by hash, trees of them, change-sets, compile, diff, going back.

``model``, ``objects``, ``compile``, ``diff`` and ``projection`` are pure, and depend on ``controller.bgp``
and ``controller.errors`` alone. ``store``, ``outbox`` and ``pins`` keep it all in ``controller.store``. What
goes back (``pins``) judges by effects, and so may use ``controller.safety.effects``, which stands on the pure
modules here.
"""

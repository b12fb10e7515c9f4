"""What production is to be: account chunks by hash, trees of them, change-sets, compile, diff.

``model``, ``compile``, ``diff`` and ``projection`` are pure. May depend on ``controller.bgp`` and
``controller.errors``; ``store`` here may use ``controller.store``.
"""

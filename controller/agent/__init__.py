"""One site: its journal, its machines and their quorum, its speaker. Trusts no controller and no database.

A command: ``commands`` judges it (``envelope``), ``journal`` puts it on disk (``journal_records``). Then
``site`` gathers the facts (``site_state``, ``machines``, ``speaker_link``), ``reconcile`` makes the plan, and
they carry it out; ``forwarding`` leads traffic to the machines, ``report`` tells the controller. Pure:
``commands``, ``envelope``, ``forwarding``, ``journal_records``, ``reconcile``, ``site_state``.
"""

"""One site: its journal, its guard, its machines and their quorum, its speaker. Trusts no controller.

A command: ``commands`` judges it (``envelope``), notes what it would take away, and who asked for that
(``standing``), and what of it the ``registry`` does not let out; ``journal`` puts it on disk
(``journal_records``). Then ``guard`` says what may go now under the site's own ``policy`` (``policy_file``,
``key_file``, ``clock`` read what it needs; ``health`` says what is wished for want of bindings,
``health_report`` tells of it), ``site`` gathers the facts (``site_state``, ``machines``, ``speaker_link``),
``reconcile`` makes the plan, and they carry it out; ``forwarding`` leads traffic to the machines, ``report``
tells the controller. ``break_glass`` carries out what people sign (``override``), ``site_drains`` drains
(``drains``); ``epoch`` recognises a journal that was put back (``epoch_file``), and ``salvage`` says what is
kept of a damaged one; ``quarantine`` holds the agent up meanwhile (``ending``: which server gives way to
which). Pure: ``commands``, ``drains``,
``envelope``, ``epoch``, ``forwarding``, ``guard``, ``health``, ``health_report``, ``journal_records``,
``override``, ``policy``, ``reconcile``, ``registry``, ``salvage``, ``site_state``, ``standing``. It may use
pure modules of ``safety``, and nothing of ``addressing``, ``rollout`` or ``store``.
"""

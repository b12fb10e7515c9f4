"""A simulated year of ordinary work, and attacks upon it, judged by the product's own assessment and breaker.

False alarms count as failures, too: the year says how often production's defaults would have opened the
breaker on honest work, and how much later honest changes arrived::

    fleet     sites, accounts, prefixes; one change put to assessment, ledger and breaker
    work      what owners, operators and tasks do in a year, drawn from one seed
    attacks   from a slow drip to a burst, past one guard, another, or all of them
    report    figures and pictures (``scripts/simulate-year``)

Times are seconds since the year began. Nothing here does I/O but ``report``.
"""

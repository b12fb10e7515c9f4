"""The messages between controller, agents and machines, and how they travel.

``messages`` is pure; ``protocol`` is the small interface; ``http`` carries it over unix sockets or TCP.
"""

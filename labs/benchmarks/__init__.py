"""How fast Herald is, as ratios to floors measured in the same run (``scripts/bench``).

``propagation``: API call → last peer's Loc-RIB, against the same speaker driven by a bare script;
``startup``: ``herald lab up``, against a bare ``ip netns`` script with the same daemons (``bare_netns``).
"""

"""How fast Herald is, as ratios to floors measured in the same run (``scripts/bench``).

``propagation``: API call → last peer's Loc-RIB, against the same speaker driven by a bare script;
``startup``: ``herald lab up``, against a bare ``ip netns`` script with the same daemons (``bare_netns``);
``rollback``: 1,100 of 6,500 prefixes back at six sites, against bare scripts (``fleet``: who has them);
``undisturbed``: a customer's toggle while others have trouble, against an idle system;
``samples``, ``showing``: what is measured as values, and in print.
"""

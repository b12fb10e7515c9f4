"""Herald's control plane: from an API call to a peer's RIB, and back.

Follow a change in the order of the packages:

``addressing``  what customers ask for (configured state) and its API;
``validation``  whether prefixes may be announced by whom they say: RPKI, IRR, ownership, on real data;
``safety``      what a change takes away, and whether its owner wanted that (pure);
``snapshots``   what production is to be (operational state): content-hashed account chunks;
``rollout``     moves accounts' chunks from one hash to another across sites;
``transport``   the messages between controller, agents and machines, and how they travel;
``agent``       one site: journal, machines' quorum, routes;
``machine``     one machine of a site: its bindings as local routes;
``speakers``    ExaBGP, GoBGP and BIRD behind one small protocol;
``observe``     what real peers hold, and every BGP message on the wire;
``forecast``    what a withdrawal will do to them, foretold from what they hold;
``tasks``       what Herald does by itself: declared, foretold, approved, stopped (acts by the API alone);
``timeline``    what accounts are told of all that, in one order, and webhooks.

``store`` holds the database engine and its migrations; ``exports`` a whole store as lines; ``shadow`` tries a
release on a copy; ``cli`` is the command line.

The dependency rule: nothing here imports :mod:`labs`; nothing below ``addressing`` reads customers'
tables; nothing above ``agent`` talks to a daemon. ``tests/unit/test_dependency_rule.py`` enforces it.
"""

__version__ = "0.1.0"

"""What a withdrawal will do to the network, foretold from the RIBs as they are observed now.

``network`` makes a model of routers out of RIB rows, ``simulate`` lets them exchange UPDATEs until all is
still, ``foretell`` does so often and says what came out, as distributions where the order is chance: these
are pure. ``observed`` looks at the network and draws the chance. May depend on ``controller.bgp``,
``controller.errors`` and ``controller.observe``; the command line and the laboratory's hunts depend on it.
"""

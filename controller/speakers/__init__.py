"""BGP speakers behind one small protocol: ExaBGP, GoBGP (BIRD later).

``exabgp`` drives ExaBGP through its helper ``exabgp_pipe`` in the words of ``exabgp_text``; ``gobgp`` drives
GoBGP through ``gobgp_rpc`` (which RIB readers use, too) with the values of ``gobgp_paths``.

May depend on ``controller.bgp``, ``controller.errors`` and ``controller.observe.rib``; knows nothing of
sites, accounts or journals.
"""

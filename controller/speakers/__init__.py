"""BGP speakers behind one small protocol: ExaBGP, GoBGP (BIRD later).

May depend on ``controller.bgp`` and ``controller.errors``; knows nothing of sites, accounts or journals.
"""

"""BGP speakers behind one small protocol: ExaBGP, GoBGP, BIRD.

``exabgp`` drives ExaBGP through its helper ``exabgp_pipe`` in the words of ``exabgp_text``; ``gobgp`` drives
GoBGP through ``gobgp_rpc`` (which RIB readers use, too) with the values of ``gobgp_paths``.
``bird`` drives BIRD through its control socket (``bird_control``) by configurations of ``bird_config``.

May depend on ``controller.bgp``, ``controller.errors``, ``controller.observe.rib`` and the pure readers of
daemons' answers (``controller.observe.readers.bird_reply``); knows nothing of
sites, accounts or journals.
"""

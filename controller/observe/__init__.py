"""What real peers hold, and every BGP message on the wire.

RIB readers give one typed form (:class:`controller.observe.rib.RibRow`) for BIRD, FRR, GoBGP, OpenBGPD
and ExaBGP; the capture records messages with the kernel's timestamps; histories are rebuilt from them.
``looking`` gathers evidence around sites; ``probes`` sends packets through them, by the ``prober``.
May depend on ``controller.bgp``, ``controller.errors`` and, for readers of GoBGP and of sites and for what
agents report, on ``controller.speakers`` and ``controller.transport``. ``bgp_message``, ``tcp_stream``,
``history``, ``evidence``, ``elsewhere``, ``adjacencies``, ``visibility``, ``probe_packets`` and ``mrt`` are
pure: no I/O, no clock.
"""

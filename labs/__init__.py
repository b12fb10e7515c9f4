"""The laboratory: topologies, namespaces and real daemons in which Herald's claims are proved.

``topology`` reads containerlab's YAML; ``nodes`` knows each kind of daemon; ``runtimes`` brings a
topology up; ``hunting`` measures what a withdrawal did; ``pytest_plugin`` offers all of it to tests.
It may import :mod:`controller`; never the other way round.
"""

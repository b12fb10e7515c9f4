"""Simulated histories of the whole pure core: writes, tasks, guards, roll-outs, agents, machines, speakers.

One :class:`~tests.simulation.world.World` is one history: a controller with a store that survives its
crashes, a network that loses, repeats, delays and reorders, and sites whose agents run the product's own
pure modules on a journal of bytes. Nothing here does I/O, sleeps, or reads a clock; whatever is random comes
from one seed, so that a history can be had again by its number::

    universe      the sites, accounts and prefixes that there are, and the settled state to begin with
    records       what the harness itself notes, to judge by: who asked for what, what was done where
    store         what survives a controller's crash
    controller    admission, assessment, roll-outs, delivery: the product's decisions
    site          an agent with its journal, its machines and its speaker
    actors        what owners, operators and tasks do
    world         all of it, and the operations that a history is made of
    invariants    I1 to I11 of SAFETY.md as predicates over the records
    histories     drawing, running and naming histories; :mod:`tests.simulation.volume` runs very many

The product decides; the model only carries its decisions about, in the worst order that it can find.
"""

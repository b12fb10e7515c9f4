"""Moves accounts' chunks across sites: the state machine (pure) and its driver.

``states``    a roll-out's literal state × event tables (pure);
``events``    what happens to it, and what it wants done; ``course`` it as a value (pure);
``machine``   what an event makes of it (pure);
``waves``     which sites go first, and how long each wave bakes (pure);
``rebase``    a change applied on both sides of a staged roll-out (pure);
``two_steps`` a delete as what withdraws and what removes after it (pure); ``after``: when that may go;
``tracked``   what the driver keeps of a roll-out (pure);
``delivery``  what to send to a site next, and what its status says of a roll-out (pure);
``gatekeeper`` the seam to those who look around a wave (pure types);
``gates``     whether a wave is sound, by what was seen before and after (pure); ``votes``: kind by kind;
``watchers``  the gatekeeper that looks: agents, RIBs, the wire, probes; ``baselines``: what it saw before;
``outlook``   what is seen from day to day, and what of it the breaker is told (pure); ``signals`` its driver;
``health_grants`` which withdrawals for want of bindings sites are granted (pure);
``intended``  what the operational state wants of single prefixes;
``backoff``   how long to wait before trying again (pure);
``remembered`` whether a site still has the journal that it had (pure); ``site_journals``: which that is;
``records``   roll-outs, sites and their trees in the database;
``waiting_line`` the change-sets that wait, each asker's in turn; ``admission``: how one goes on from there;
``begin``     from a change-set that may go to its roll-out; ``reverts``: the way back of one;
``acts``      what roll-outs want done, in the transaction that writes down how far they are;
``carried``   which intents go with a command;
``crash_points`` places at which this process kills itself when it is told to;
``looking``   asks those who look for every staged roll-out that wants a look;
``draining``  brings drains to agents; ``drain_orders``: whom to tell what next (pure);
``site``      follows one site: long-polls its status, delivers what it lacks; ``book``: what it asks;
``conflicts`` what sites have from somebody else; ``fleet`` the sites, and what each is to have;
``followed``  the roll-outs in memory (pure); ``unwritten``: what is to be written down of them;
``stepping``  gives a roll-out an event; ``judging``: those by sites; ``deadlines``: those by the clock;
``wishes``    those by people and the breaker;
``admitting`` admits change-sets in order; ``recorder`` writes down what roll-outs have come to;
``afterwards`` does in memory what is on disk; ``ways_back`` follows what takes roll-outs back;
``listeners`` who is told what was written down; ``driver`` puts all these together;
``routes``    Herald's own HTTP routes over all that; ``view``: what the Addressing API shows of it.
"""

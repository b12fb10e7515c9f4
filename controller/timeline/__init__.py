"""What is told to customers: one timeline an account, and how it gets to them.

``names``     the types of what is told, and patterns over them (pure);
``tables``    the timeline, webhooks, their deliveries, what was last observed;
``log``       puts an entry into the timeline and a delivery for each webhook that wants it, both in the
              caller's transaction: what is acknowledged is told;
``show``      an entry as the API and notifications show it (pure);
``sighting``  what a reading of routers' RIBs changes (pure);
``policy``    where webhooks may go, how often and how long it is tried (pure);
``signing``   Standard Webhooks' headers; ``sender`` sends to an address that was checked;
``dispatch``  sends what waits, in order, until it has arrived or is given up;
``log_file``  the lab's second channel; ``bell`` wakes them.

Depends on the store and nothing above: the API, change-sets and roll-outs all write here.
"""

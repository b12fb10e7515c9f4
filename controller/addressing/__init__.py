"""What customers ask for: accounts, prefixes, BGP prefixes, services, bindings, and their API.

A request passes ``auth`` (who), ``strict`` (is it what the route declares?), then one module per
resource: ``prefixes``, ``approvals``, ``bgp_prefixes``, ``bgp_status``, ``bindings``, ``delegations``,
``services``, ``loa_documents``, ``address_maps`` with ``address_map_members``, ``regions`` (the compatible
API), ``advertisement``, ``accounts``, ``tokens`` (Herald's own). ``rules`` and ``policy`` decide (pure: no
I/O, no clock); ``writes`` puts rows, event, change-set and answer in one transaction; ``present`` turns rows
into what is sent. ``app.create_app`` puts it together. ``intents`` and ``registry`` sign what agents check
alone: who wanted something taken away, and what may be announced at all.
"""

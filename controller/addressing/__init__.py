"""What customers ask for: accounts, prefixes, BGP prefixes, services, bindings, and their API."""

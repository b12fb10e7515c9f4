"""One machine of a site: holds bindings as local routes of its own namespace, and acknowledges them."""

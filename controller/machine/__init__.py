"""One machine of a site: holds bindings as local routes of its own namespace, and acknowledges them.

``bindings``, ``absence`` and ``routes`` are pure; ``journal`` is the disk, ``kernel_routes`` the kernel (an
agent uses it, too), ``process`` the HTTP process.
"""

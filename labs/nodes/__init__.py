"""One module a kind of daemon: how it is started, and its own sign of readiness."""

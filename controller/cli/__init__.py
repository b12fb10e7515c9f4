"""The command line; other packages add to it by the entry-point group herald.commands."""

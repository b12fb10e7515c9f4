"""GoBGP 3.x messages, generated from ``gobgp.proto`` by ``scripts/generate-gobgp-pb``."""

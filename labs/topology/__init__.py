"""containerlab's YAML, read strictly into one model; generators. Pure but for reading the file."""

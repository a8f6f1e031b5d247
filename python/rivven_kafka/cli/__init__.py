"""The `rivven-kafka` command."""

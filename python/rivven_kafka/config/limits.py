"""How much a configuration file may hold: more than any that is meant well."""

MAX_FILE_BYTES = 1024 * 1024
"""Of the file itself."""

MAX_VALUES = 100_000
"""A file of a few lines can name a billion values through YAML aliases."""

MAX_DEPTH = 64
"""Levels of lists and mappings."""

MOST_PROBLEMS = 100
"""What an error lists; nobody reads more, and each costs a search for what was meant."""

TOO_MUCH = "nested too deep, or too many values"

"""Python objects that are made per record."""

"""The best reasonable use of other clients, to compare with."""

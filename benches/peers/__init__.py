"""The programs that ours are compared with, each used the way its own documentation says is fast."""

"""Reading stretches of either log, outside of any consumer group."""

"""Programs that show rivven-kafka at work."""

"""Reading text, its vocabulary, and batches of it."""

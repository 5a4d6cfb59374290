"""A trained language model in use: writing and scoring text."""

"""Tagging: every photo against the prompts of a vocabulary, from stored vectors, without opening a photo."""

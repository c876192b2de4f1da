"""Sentence patterns for each language of the starter models."""

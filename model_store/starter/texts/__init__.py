"""Sentence patterns for each language and domain of the starter models, and how their rarer words are read aloud."""

"""The data plane: from a recording to its text."""

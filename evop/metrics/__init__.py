"""Metrics that say how much a weight matters, as expressions: what they mean, when two rank alike, how they evolve."""

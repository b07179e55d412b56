"""Which passages a set keeps: merged groups, splits, samples, their order, continuations."""

"""Which passages a set keeps: merged clusters, splits, samples, their order, continuations."""

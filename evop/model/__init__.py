"""A causal language model: its checkpoint, its family, the model in memory."""

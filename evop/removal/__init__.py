"""What a pattern takes out of a model: its space, its file, the cut it makes, the mask and the bias."""

"""Time as a cost: what each part takes at each level, measured; and how fast a model is, measured."""

"""Measured time: what each part takes at each level, as a cost to search by; and how fast whole models are."""

"""One search at work: its passages, what judges a pattern on them, its log, its answer."""

"""One search at work: its plan, its passages, its setup, its loop, its folder, its answer."""

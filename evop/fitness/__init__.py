"""How a search judges a pattern: the sample it is measured on, and the objective over its groups."""

"""From a model and a pattern to a smaller checkpoint that loads where users run models."""

"""Recipes: what a person asks of each stage, on the command line, in YAML or in Python; unknown keys are refused."""

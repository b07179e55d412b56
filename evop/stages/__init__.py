"""The stages that a user runs, each a plain function from files to files."""

"""From files and datasets to passages and questions."""

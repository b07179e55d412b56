"""Passages and questions as token ids, and how they share a forward pass."""

"""Healing: a pruned model learns from the dense one, and every group is watched."""

"""What gives a pruned model back what it lost: weights solved anew, and weights that learn from the dense model."""

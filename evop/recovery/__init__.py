"""Making up for what left: weights refitted in closed form, a pruned model healed by distillation."""

"""What a person writes to say what a stage should do; unknown keys are refused."""

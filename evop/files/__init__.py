"""Files between stages: JSON with a schema, written whole or not at all."""

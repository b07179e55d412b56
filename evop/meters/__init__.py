"""Meters: a model and passages in, a table of losses out."""

from evop.meters.next_token import next_token_losses

__all__ = ["next_token_losses"]

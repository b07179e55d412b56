"""The evaluator: many patterns in, their losses out, and what they share is run once."""

from evop.evaluator.evaluator import Evaluator
from evop.evaluator.profile import Profile

__all__ = ["Evaluator", "Profile"]

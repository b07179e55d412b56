"""The evaluator: many patterns in, their losses out."""

from evop.evaluator.evaluator import Evaluator
from evop.evaluator.profile import Profile

__all__ = ["Evaluator", "Profile"]

"""Metrics that others published, and the names that people call them by."""

from __future__ import annotations

from dataclasses import dataclass

from evop.metrics.expression import Expression
from evop.metrics.metric import Metric
from evop.metrics.parse import parse


@dataclass(frozen=True)
class Named:
    """A metric with a name.

    Attributes:
        line: the metric.
        line_of_heads: the metric of units that own several features; "" for the same.
        line_of_weights: the metric of weights that leave one by one; "" where there is none.
    """

    line: str
    line_of_heads: str = ""
    line_of_weights: str = ""

    @property
    def metric(self) -> Metric:
        """The metric of units that own one feature each."""
        return Metric(parse(self.line))

    @property
    def heads(self) -> Expression:
        """The expression for units that own several features."""
        return parse(self.line_of_heads or self.line)

    @property
    def weights(self) -> Metric | None:
        """The metric of weights that leave one by one; None where there is none."""
        return Metric(parse(self.line_of_weights)) if self.line_of_weights else None


RIA = "(|W| / rowsum(|W|) + |W| / colsum(|W|)) * sqrt(sqrt(X))"

PUBLISHED: dict[str, Named] = {
    # L2 norm over all weights that leave together.
    # Source: Li et al., "Pruning filters for efficient ConvNets" (arXiv 1608.08710), taken to the coupled group and L2.
    "magnitude": Named("N", line_of_weights="|W|"),
    # Ours: RMS for the L2 norm, so that groups of different length compare; every layer's inputs are the dense model's.
    # Source: Wanda (Sun et al., arXiv 2306.11695, equation 1) in the structured form of FLAP's authors, Wanda-sp.
    "wanda": Named("|W| * sqrt(X)", line_of_weights="|W| * sqrt(X)"),
    # How much of the output is lost when an input is replaced by its mean. Of heads it is squared, as published; they
    # take the mean over their features, after these were standardised over the layer (``Ranking.priced``).
    # Source: FLAP (An et al., arXiv 2312.11983), weighted input feature variance, and its code.
    "flap": Named("colsum(sqr(W)) * V", "sqr(colsum(sqr(W)) * V)"),
    # Of weights, each by itself: its value times the root mean square of its gradient over passages.
    # A gate on input j scales column j, so the sum over column j of w dL/dw is the gate's gradient. Ours: the last
    # matrix of a group alone, first order only, each group of the sample by itself.
    # Source: LLM-Pruner (Ma et al., arXiv 2305.11627), vector-wise importance, and its code.
    "taylor": Named("|D|", line_of_weights="|W| * G"),
    # A weight's share of what leads into its output and of what leads out of its input, times the root of ||X_j||.
    # Source: Zhang et al., "Plug-and-play: an efficient post-training pruning method for large language models" (ICLR
    # 2024), relative importance and activations, with its default exponent of one half; RMS for the L2 norm.
    "ria": Named(RIA, line_of_weights=RIA),
    # What genetic programming found on LLaMA. Ours, for units: the mean over rows of the last matrix of a group.
    # Source: Pruner-Zero (Dong et al., arXiv 2406.02924), and `best_tree.json` in its code.
    "pruner-zero": Named("|W * W| * minmax(G)", line_of_weights="|W * W| * minmax(G)"),
}
"""Name -> metric. What a metric gives every weight is averaged over the rows of a matrix for what a feature matters;
one that is the same for all rows is taken as it is."""

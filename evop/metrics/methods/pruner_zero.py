"""Pruner-Zero's search of a metric: genetic programming over trees of |W|, G and X."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deap import gp, tools

from evop.metrics.expression import Expression, of
from evop.metrics.methods import Asked
from evop.metrics.metric import Metric
from evop.metrics.parse import parse
from evop.metrics.simplify import simplified

UNARY = ("sqr", "neg", "abs", "log", "exp", "sqrt", "tanh", "pow", "skp", "mms", "zsn")
"""Pruner-Zero's operators of one value, under its names; ``pow`` is ``sqr`` once more, ``skp`` changes nothing."""
BINARY = ("add", "sub", "mul", "div")
"""Its operators of two; ``div`` divides by the norm of the other matrix."""
SHALLOWEST, DEEPEST = 2, 4
"""Depths of a tree; Pruner-Zero's."""
POPULATION, TOURNAMENT, CROSSOVER, MUTATION = 60, 5, 0.8, 0.2
"""Trees of a generation; trees of a tournament; how often a child has two parents; how likely each node mutates.

These are tiny_gp's, whose class Pruner-Zero's code extends; the paper's own are not known.
"""


class PrunerZero:
    """Breeds trees; it never finishes.

    Each generation is bred of the one before: two tournaments choose parents, a subtree of one takes the place of one
    of the other, and nodes are exchanged for others of as many arguments. Trees that are too flat or too deep are bred
    again.
    What is measured is the tree written more simply; the tree itself breeds on.

    As published: operators, terminals (|W|, X not rooted, G), depths from 2 to 4. Ours are: what is named above as
    tiny_gp's; mutation that exchanges a node, which the paper names, unless tiny_gp's is asked for; trees that are
    simplified where they are measured, so that two writings of a metric count once.

    ``faithful``: X and G are summed over passages, as its code has them, so that ``exp`` and sums see their size.

    Source: Pruner-Zero (Dong et al., arXiv 2406.02924), figure 2, and its code, which lacks the search; by DEAP.
    """

    def __init__(self, asked: Asked) -> None:
        self._own, self._opposites, self._faithful = random.Random(asked.seed), asked.opposites, asked.faithful
        self._mutated = {"node": self._exchanged, "regrow": self._regrown}[asked.mutation]
        self._primitives = primitives()
        with self._drawing():
            self._trees = [self._drawn() for _ in range(POPULATION)]

    def ask(self) -> Sequence[Metric]:
        """Return the trees of the generation."""
        return [Metric(self._expression(tree)) for tree in self._trees]

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Breed the next generation."""
        scores = [values[metric] for metric in self.ask()]
        with self._drawing():
            self._trees = [self._child(scores) for _ in range(POPULATION)]

    def _drawn(self) -> Any:
        return gp.PrimitiveTree(gp.genHalfAndHalf(self._primitives, SHALLOWEST, DEEPEST))

    def _child(self, scores: Sequence[float]) -> Any:
        while True:
            child = gp.PrimitiveTree(self._parent(scores))
            if random.random() < CROSSOVER:
                child, _ = gp.cxOnePoint(child, gp.PrimitiveTree(self._parent(scores)))
            child = self._mutated(child)
            if SHALLOWEST <= child.height <= DEEPEST:
                return child

    def _exchanged(self, child: Any) -> Any:
        """Exchange as many nodes as chance says for others of as many arguments."""
        for _ in range(len(child)):
            if random.random() < MUTATION:
                (child,) = gp.mutNodeReplacement(child, pset=self._primitives)
        return child

    def _regrown(self, child: Any) -> Any:
        """Let one part grow anew, as tiny_gp does: on the way down the first arguments, each node as likely.

        It is two deep, for the shallowest tree of Pruner-Zero is. tiny_gp goes on with a second argument only where
        there is no first, so that it never does.
        """
        for at, node in enumerate(child):  # a tree lies in the order of its first arguments
            if random.random() < MUTATION:
                child[child.searchSubtree(at)] = gp.genFull(self._primitives, SHALLOWEST, SHALLOWEST)
                break
            if not node.arity:
                break
        return child

    def _parent(self, scores: Sequence[float]) -> Any:
        entrants = tools.selRandom(range(POPULATION), TOURNAMENT)
        return self._trees[min(entrants, key=lambda at: scores[at] if not math.isnan(scores[at]) else math.inf)]

    def _expression(self, tree: Any) -> Expression:
        return simplified(metric_of_tree(str(tree), faithful=self._faithful), opposites=self._opposites)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Let DEAP, which draws from the global state, draw from this method's own; the global one stays as it was."""
        before = random.getstate()
        random.setstate(self._own.getstate())
        try:
            yield
        finally:
            self._own.setstate(random.getstate())
            random.setstate(before)


class RandomTrees(PrunerZero):
    """Draws trees as Pruner-Zero's first generation is drawn, and learns nothing; it never finishes."""

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Draw the next generation."""
        with self._drawing():
            self._trees = [self._drawn() for _ in range(POPULATION)]


def primitives() -> Any:
    """Make DEAP's set of operators and terminals."""
    found = gp.PrimitiveSet("metric", 0)
    for names, takes in ((UNARY, 1), (BINARY, 2)):
        for name in names:
            found.addPrimitive(operator.pos, takes, name)  # never called: an expression computes
    for name in "WGX":
        found.addTerminal(None, name)
    return found


def metric_of_tree(tree: str, *, faithful: bool = False) -> Expression:
    """Read a tree as Pruner-Zero writes it, in which W is the absolute value of the weight.

    Args:
        tree: the line.
        faithful: whether its X and G are sums over passages, as in its code, and not means.
    """
    return _read(parse(tree), {"X": "S", "G": "R"} if faithful else {})


def _read(expression: Expression, names: Mapping[str, str]) -> Expression:
    if expression.name == "W":
        return of("abs", expression)
    arguments = (_read(argument, names) for argument in expression.arguments)
    return Expression(names.get(expression.name, expression.name), tuple(arguments))

"""The recipe of a search of metrics: by which method, what leaves by them, how they are judged."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator

from evop.losses.loss import Loss
from evop.losses.objectives import TAIL
from evop.model.families.family import WEIGHT
from evop.recipes.execution import Execution
from evop.recipes.option import GROUPS, SEARCHING, WEIGHTS, option
from evop.recipes.search import LossField, ObjectiveField, OverField, SearchRecipe, TailField, WidthField
from evop.recipes.weights import NOfM
from evop.removal.sparsity import Sparsity


class MetricRecipe(Execution):
    """Says by which method metrics are searched, what leaves by them, how long."""

    method: Annotated[str, option("optishear, pruner-zero, adapruner, tpe, exhaustive, random or random-trees.")] = (
        "exhaustive"
    )
    remove: Annotated[float, option("Fraction of the decoder blocks to remove.")] = 0.25
    sparsity: NOfM = None
    grain: Annotated[
        Literal["channel", "head", "mixed", "weight"],
        option("channel, head or mixed; or weight: weights that leave one by one, as evop prune --grain weight."),
    ] = "channel"
    deploy: Annotated[str, option("stock: the same share of every layer leaves; any: one ranking over all layers.")] = (
        "any"
    )
    objective: ObjectiveField = "cvar"
    tail: TailField = TAIL
    loss: Annotated[LossField, option("nll, or kl or reconstruction (how far from the dense model; OptiShear's).")] = (
        Loss.named("nll")
    )
    evaluations: Annotated[
        int, option("Metrics to measure at most; those that remove what an earlier one did do not count.", ge=1)
    ] = 300
    minutes: Annotated[float | None, option("Minutes to search at most.", gt=0)] = None
    seed: Annotated[int, option("Seed of all that is random in the method.", ge=0)] = 0
    width_step: WidthField = None
    importance_over: OverField = "mean"
    max_tokens: Annotated[int, option("Tokens per passage at most.", GROUPS, ge=2)] = 512
    min_group_tokens: Annotated[
        int, option("Tokens that a group needs, in search and in select, to enter the objective.", GROUPS, ge=1)
    ] = 256
    opposites: Annotated[
        bool, option("pruner-zero: take out operators that undo one another, such as exp of log.", SEARCHING)
    ] = True
    mutation: Annotated[
        Literal["node", "regrow"],
        option("pruner-zero: node: a node is exchanged; regrow: a part grows anew, as in tiny_gp.", SEARCHING),
    ] = "node"
    faithful: Annotated[
        bool, option("Quirks of OptiShear's and Pruner-Zero's code too: inputs summed over passages, A / A.", SEARCHING)
    ] = False
    layers: Annotated[
        bool,
        option("Then search what share of every layer leaves, too, as OptiShear does; with --remove.", WEIGHTS),
    ] = False

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.sparsity is not None and (self.grain != WEIGHT or "remove" in self.model_fields_set):
            raise ValueError("--sparsity is for --grain weight, instead of --remove; leave one of them out")
        if self.layers and (self.grain != WEIGHT or self.sparsity is not None):
            raise ValueError("--layers is for --grain weight with --remove; leave it out")
        return self

    @property
    def asked(self) -> Sparsity:
        """How many weights leave, at grain ``weight``."""
        return Sparsity.read(self.sparsity or self.remove)

    @property
    def as_search(self) -> SearchRecipe:
        """The search whose one ranking a metric gives: what may leave, and what is measured on."""
        same = {name: getattr(self, name) for name in MetricRecipe.model_fields if name in SearchRecipe.model_fields}
        if self.grain == WEIGHT:
            same["grain"] = "channel"  # no search is of weights; what is measured on is the same
        return SearchRecipe.of(**{**same, "strategy": "oneshot", "protect": "none"})

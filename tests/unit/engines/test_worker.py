"""A worker judges as the driver does."""

from dataclasses import replace

import numpy as np
from sites import token_passages

from evop.engines.worker import WorkerPlan
from evop.evaluator import Evaluator
from evop.fitness.fitness import Fitness
from evop.fitness.folds import CrossFit, halves
from evop.fitness.sample import Sample
from evop.losses.objectives import mean
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from patterns import Budget


def test_a_worker_judges_held_out_as_the_driver_does(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    passages = token_passages({f"law/{cluster}": [9, 12] for cluster in range(4)})
    space = pattern_space(loaded.checkpoint, "channel", width_step=8)
    rankings = [Ranking.random(space, seed) for seed in range(3)]
    plain, sample = (Sample.whole(Evaluator(loaded, space, rankings[2], 16, 4), passages) for _ in range(2))
    crossed = replace(sample, cross=CrossFit(halves(passages, 0), (rankings[0], rankings[1])))
    fitness = Fitness(crossed, mean, {sample.full.passages: sample.dense(sample.full)})
    recipe = SearchRecipe.of(grain="channel", max_tokens=16, batch_size=4)
    patterns = [Budget(space, 0.3).draw(np.random.default_rng(seed)) for seed in range(3)]
    there = list(WorkerPlan.of(recipe, fitness).fitness()(patterns))
    assert there == list(fitness(patterns))
    assert there != list(replace(fitness, sample=plain)(patterns))

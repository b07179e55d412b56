"""A worker judges as the driver does."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
from sites import token_passages

from evop.engines.worker import WorkerPlan
from evop.evaluator import Evaluator
from evop.fitness.fitness import Fitness
from evop.fitness.folds import CrossFit, halves
from evop.fitness.sample import Sample
from evop.importance.moments import gathered_moments
from evop.losses.objectives import mean
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.removal.moments_file import MomentsFile, write_moments
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


def test_a_worker_refits_levels_as_the_driver_does(tiny_folder, tmp_path, monkeypatch):
    """It is sent where the moments lie, not the moments, and may run elsewhere on the machine."""
    monkeypatch.chdir(tmp_path)
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    passages = token_passages({"law/0": [9, 12], "law/1": [14]})
    space = pattern_space(loaded.checkpoint, "mixed", width_step=8)
    bare = Evaluator(loaded, space, Ranking.random(space, 0), 16, 4)
    write_moments(Path("moments.npz"), gathered_moments(bare, passages))
    refitted = bare.with_ranking(replace(bare.ranking, moments=MomentsFile(Path("moments.npz"))))
    fitnesses = []
    for evaluator in (refitted, bare.with_ranking(bare.ranking)):
        sample = Sample.whole(evaluator, passages)
        fitnesses.append(Fitness(sample, mean, {sample.full.passages: sample.dense(sample.full)}))
    recipe = SearchRecipe.of(grain="mixed", max_tokens=16, batch_size=4, compensate="obs")
    patterns = [Budget(space, 0.3).draw(np.random.default_rng(seed)) for seed in range(3)]
    sent = pickle.dumps(WorkerPlan.of(recipe, fitnesses[0]))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = list(pickle.loads(sent).fitness()(patterns))
    assert there == list(fitnesses[0](patterns))
    assert there != list(fitnesses[1](patterns))
    assert len(sent) < (tmp_path / "moments.npz").stat().st_size

from functools import cache
from itertools import count

import numpy as np
import pytest
from toys import FIDELITIES, SPACES, TINY, Landscape, layer_space, run, subblock_space

from patterns import (
    OPTIONS,
    STRATEGIES,
    Budget,
    Measurement,
    PatternError,
    Stop,
    TrialLog,
    default_strategy,
    finalists,
    make_strategy,
    search,
)

NO_CHANCE = {"exhaustive", "greedy", "oneshot"}
ALL_AT_ONCE = ("darwin", "exhaustive", "genetic", "policy", "random", "swap")
"""Those that ask for nothing on the way."""


def check(log, budget, strategy):
    """Everything asked is legal, told apart rightly, measured to its end once a fidelity, and there is an answer."""
    assert all(budget.space.legal(trial.pattern) for trial in log.trials)
    assert all(trial.met == budget.met(trial.pattern) for trial in log.trials)
    whole = [(trial.pattern, trial.fidelity) for trial in log.trials if trial.measurement.whole]
    assert len(set(whole)) == len(whole)
    best = finalists(log.trials, 4)
    if best:
        assert len(best) <= 8
        assert best[0].value == min(t.value for t in log.trials if t.met and t.fidelity == 4)
    answer = best[0].pattern if best else strategy.completions({trial.pattern: trial.value for trial in log.trials})[0]
    assert budget.met(answer)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("evaluations", [7, 90])
def test_every_strategy_asks_legal_patterns_and_answers_with_one_that_meets_the_budget(
    tmp_path, name, space, evaluations
):
    budget = SPACES[space]
    log, _, reason, strategy = run(tmp_path, name, budget, evaluations=evaluations)
    assert reason in ("evaluations", "strategy finished", "nothing new")
    check(log, budget, strategy)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", TINY)
def test_small_spaces_are_searched_to_their_end(tmp_path, name, space):
    budget = TINY[space]
    log, land, reason, strategy = run(tmp_path, name, budget, evaluations=10_000)
    assert reason in ("strategy finished", "nothing new")
    check(log, budget, strategy)
    if name not in ("greedy", "oneshot"):
        best = finalists(log.trials, 4)[0]
        assert best.value == min(land.value(pattern) for pattern in budget.patterns())


@pytest.mark.parametrize("name", ALL_AT_ONCE)
@pytest.mark.parametrize("space", SPACES)
def test_what_they_ask_always_meets_the_budget(tmp_path, name, space):
    log, *_ = run(tmp_path, name, SPACES[space])
    assert all(trial.met for trial in log.trials)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", ["subblock any", "mixed any", "mixed stock"])
@pytest.mark.parametrize("every", [1, 3])
def test_failed_measurements_do_not_stop_a_search(tmp_path, name, space, every):
    """Every third measurement has no loss, or none has; the search goes on and never answers with one of those."""
    budget = SPACES[space]
    land = Landscape(budget.space)

    def measure(request):
        for found in land(request):
            bad = len(land.asked) % every == 0
            yield Measurement(float("inf"), {}, 100, "loss is not finite in toy/0") if bad else found

    log = TrialLog.create(tmp_path / "t.jsonl", {})
    strategy = make_strategy(name, budget, 0)
    search(strategy, budget, log, measure, Stop(120), fidelities=FIDELITIES)
    assert any(trial.measurement.failed for trial in log.trials)
    assert all(np.isfinite(trial.value) for trial in finalists(log.trials, 4))
    assert [t.value for t in TrialLog.open(tmp_path / "t.jsonl").trials] == [t.value for t in log.trials]
    assert all(map(budget.met, strategy.completions({trial.pattern: trial.value for trial in log.trials})))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The log of a search of 90 evaluations that nothing interrupts, by strategy and space; searched once."""

    @cache
    def log(name, space):
        return run(tmp_path_factory.mktemp("whole"), name, SPACES[space], evaluations=90)[0].path.read_bytes()

    return log


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", ["channel any", "mixed stock"])
@pytest.mark.parametrize("first", [3, 70])
def test_a_search_over_ladders_goes_on_byte_for_byte(tmp_path, uninterrupted, name, space, first):
    budget = SPACES[space]
    run(tmp_path, name, budget, evaluations=first)
    log = TrialLog.open(tmp_path / "trials.jsonl")
    search(make_strategy(name, budget, 0), budget, log, Landscape(budget.space), Stop(90), fidelities=FIDELITIES)
    assert log.path.read_bytes() == uninterrupted(name, space)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", ["channel any", "mixed stock"])
def test_a_seed_is_a_seed_over_ladders(tmp_path, uninterrupted, name, space):
    budget = SPACES[space]
    again, _, _, _ = run(tmp_path, name, budget, evaluations=90)
    assert again.path.read_bytes() == uninterrupted(name, space)
    other, _, _, _ = run(tmp_path, name, budget, seed=4, evaluations=60, file="other")
    # Greedy's last step is brought to the budget by chance where a ladder's level removes more than enough.
    asked = [trial.pattern for trial in other.trials]
    assert asked != [trial.pattern for trial in again.trials[: len(asked)]] or name in NO_CHANCE


def test_surrogate_finds_a_better_pattern_than_random_at_equal_evaluations(tmp_path):
    budget = Budget(subblock_space(12, "stock", ("layers.0.attn",)), 0.25)
    gaps = []
    for seed in range(3):
        land = Landscape(budget.space, seed)
        ours, *_ = run(tmp_path, "surrogate", budget, seed, 80, land, f"c{seed}")
        random, *_ = run(tmp_path, "random", budget, seed, 80, land, f"r{seed}")
        gaps.append(finalists(random.trials, 4)[0].value - finalists(ours.trials, 4)[0].value)
    assert min(gaps) > 0


def test_surrogate_goes_on_until_a_small_space_is_exhausted(tmp_path):
    budget = Budget(layer_space(7), 0.3)
    every = set(budget.patterns())
    log, land, reason, _ = run(tmp_path, "surrogate", budget, evaluations=10_000)
    assert reason == "nothing new"
    assert set(land.asked) == every | set(budget.space.removals(budget.space.dense))
    assert finalists(log.trials, 4)[0].value == min(land.value(p) for p in every)


def test_greedy_takes_the_best_removal_of_every_step(tmp_path):
    """Against a plain greedy written here."""
    budget = SPACES["layer any"]
    log, land, reason, _ = run(tmp_path, "greedy", budget, evaluations=1000)
    kept = budget.space.dense
    while not budget.met(kept):
        kept = min(budget.space.removals(kept), key=land.value)
    assert reason == "strategy finished"
    assert finalists(log.trials, 4)[0].pattern == kept
    assert len(log.trials) == 10 + 9 + 8


@pytest.mark.parametrize("evaluations", [1, 5, 16, 17, 20])
def test_a_stopped_greedy_is_completed_from_its_ranking(tmp_path, evaluations):
    budget = SPACES["subblock any"]
    log, _, _, strategy = run(tmp_path, "greedy", budget, evaluations=evaluations)
    assert not finalists(log.trials, 4)
    values = {trial.pattern: trial.value for trial in log.trials}
    (completed,) = strategy.completions(values)
    assert budget.met(completed)
    gone = {i for i, level in enumerate(completed.levels) if level}
    ranked = [t.pattern.levels.index(1) for t in sorted(log.trials[:16], key=lambda trial: trial.value)]
    assert ranked[0] in gone
    if len(ranked) > 5:
        # A quarter leaves: what the first step ranked best goes before what it ranked last.
        assert ranked[-1] not in gone


def test_unknown_strategies_are_refused():
    with pytest.raises(PatternError, match="strategy 'luck' is unknown; choose one of cma, darwin, exhaustive"):
        make_strategy("luck", SPACES["layer any"], 0)


def test_options_reach_the_strategies_that_take_them_and_no_other():
    budget = SPACES["layer any"]
    for option, takers in OPTIONS.items():
        for name in STRATEGIES:
            if name in takers:
                assert getattr(make_strategy(name, budget, 0, **{option: 3}), option) == 3
            else:
                with pytest.raises(PatternError, match=f"strategy {name} takes no {option}; genetic "):
                    make_strategy(name, budget, 0, **{option: 3})
            make_strategy(name, budget, 0, **{option: None})
    with pytest.raises(PatternError, match="strategy cma takes no elitism; genetic does"):
        make_strategy("cma", budget, 0, elitism=1)
    with pytest.raises(PatternError, match="strategy option 'luck' is unknown; the options are elitism, patience"):
        make_strategy("cma", budget, 0, luck=1)


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("genetic", "elitism", 50, "elitism must lie in 0 .. 49"),
        ("genetic", "elitism", -1, "elitism must lie in 0 .. 49"),
        ("genetic", "patience", 0, "patience must be at least 1 generation, found 0"),
        ("swap", "patience", 0, "patience must be at least 1 generation, found 0"),
    ],
)
def test_options_out_of_range_are_refused(name, option, value, message):
    with pytest.raises(PatternError, match=message):
        make_strategy(name, SPACES["layer any"], 0, **{option: value})


def test_few_patterns_are_all_measured_by_default_and_many_are_searched():
    assert default_strategy(Budget(layer_space(10), 0.3)) == (
        "exhaustive",
        "all 120 patterns that meet the budget are measured",
    )
    assert default_strategy(TINY["one part"])[1] == "the one pattern that meets the budget is measured"
    assert default_strategy(Budget(layer_space(12), 0.25)) == (
        "surrogate",
        "more than 200 patterns meet the budget: they are searched",
    )


@pytest.mark.parametrize("space", ["layer any", "subblock stock", *TINY])
def test_exhaustive_asks_every_pattern_once(space):
    budget = (SPACES | TINY)[space]
    strategy = make_strategy("exhaustive", budget, 0)
    asked = []
    for _ in count():
        these = strategy.ask()
        if not these:
            break
        asked += these
    assert asked == list(budget.patterns())


def test_exhaustive_begins_at_once_on_a_space_that_nobody_could_list():
    asked = make_strategy("exhaustive", Budget(subblock_space(48), 0.5), 0).ask()
    assert len(asked) == 32

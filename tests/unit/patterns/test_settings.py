"""Settings of the default search and its surrogate: each reaches what it names."""

from dataclasses import fields, replace

import pytest
from toys import FIDELITIES, Landscape, ladder_space

from patterns import STRATEGIES, Budget, PatternError, Stop, TrialLog, make_strategy, search
from patterns.strategies import TUNABLE
from patterns.strategies.gaussian_process import GaussianProcessSettings
from patterns.strategies.surrogate import SurrogateSettings

BUDGET = Budget(ladder_space(4, "mixed"), 0.3)
OTHERWISE = {
    "sensitivities": False,
    "sensitivity_fidelity": 1.0,
    "low_fidelity": 1.0,
    "min_low_fidelity": 20,
    "max_low_fidelity": 5,
    "full_fidelity": 1,
    "confidence_betas": (2.0, 1.0),
    "random_candidates": 40,
    "incumbents": 1,
    "switches_per_incumbent": 2,
    "max_switches": 1,
    "hill_climb_rounds": 0,
    "hill_climb_starts": 1,
    "hill_climb_switches": 1,
    "process": GaussianProcessSettings(length_scale=0.5),
    "linear_variance": 0.1,
    "slope_variance": 10.0,
    "length_scale": 0.5,
    "fidelity_variance": 5.0,
    "noise": 1.0,
    "low_fidelity_noise": 1.0,
    "max_points": 8,
    "log_values": False,
}
"""Every setting -> another value than the default."""


def asked(tmp_path, settings, file="log"):
    """Return what a search asks for, in order."""
    log = TrialLog.create(tmp_path / file, {})
    strategy = make_strategy("surrogate", BUDGET, 0, settings=settings)
    search(strategy, BUDGET, log, Landscape(BUDGET.space), Stop(60), fidelities=FIDELITIES)
    return [(trial.pattern, trial.fidelity) for trial in log.trials]


@pytest.fixture(scope="module")
def by_default(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("default"), None)


def test_no_settings_are_the_default_ones(tmp_path, by_default):
    assert asked(tmp_path, SurrogateSettings()) == by_default


@pytest.mark.parametrize(
    "name", [field.name for field in (*fields(SurrogateSettings), *fields(GaussianProcessSettings))]
)
def test_each_setting_changes_what_is_asked(tmp_path, by_default, name):
    default, value = SurrogateSettings(), OTHERWISE[name]
    # A bound is seen where it binds: a third of the units that can go lies above the largest minimum by default.
    if name == "min_low_fidelity":
        default = replace(default, max_low_fidelity=20)
    if name in GaussianProcessSettings.__dataclass_fields__:
        settings = replace(default, process=replace(default.process, **{name: value}))
    else:
        settings = replace(default, **{name: value})
    assert asked(tmp_path, settings) != (
        by_default if default == SurrogateSettings() else asked(tmp_path, default, "other")
    )


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in TUNABLE])
def test_settings_of_another_strategy_are_refused(name):
    with pytest.raises(PatternError, match=f"strategy {name} takes no settings; only cma, lq-cma, surrogate do"):
        make_strategy(name, BUDGET, 0, settings=SurrogateSettings())

"""Law 3: a run is gone on with by the search that began it, and by no other; limits, device and engine do not count."""

from __future__ import annotations

import json
import shutil

import pytest
from by_hand import write_log_by_hand
from sets import small_set

from evop.errors import EvopError
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.stages.search import search

OPTIONS = {
    **{"device": "cpu", "dtype": "float32", "max_tokens": 16, "min_group_tokens": 10},
    **{"grain": "mixed", "deploy": "any", "width_step": 64, "importance": "wanda"},
    **{"strategy": "genetic", "elitism": 1, "patience": 5},
}
ANOTHER = {
    "grain": {"grain": "channel"},
    "width_step": {"width_step": 128},
    "deploy": {"deploy": "stock"},
    "protected": {"protect": ("layers.3.mlp",)},
    "remove": {"remove": 0.3},
    "cost": {"cost": "flops"},
    "fit_in": {"remove": 0.25, "fit_in": "18MiB"},
    "strategy": {"strategy": "random", "elitism": None, "patience": None},
    "elitism": {"elitism": 2},
    "patience": {"patience": None},
    "seed": {"seed": 1},
    "objective": {"objective": "mean"},
    "tail": {"tail": 0.25},
    "loss": {"loss": "kl"},
    "scale": {"scale": "random"},
    "tolerate": {"tolerate": "0.1", "remove": 0.25, "objective": "cvar"},
    "importance": {"importance": "flap"},
    "importance_over": {"importance_over": "worst"},
    "fitness_on": {"fitness_on": "held-out"},
    "hold_out_domain": {"hold_out_domain": ("math_word",)},
    "compensate": {"compensate": "bias"},
    "max_tokens": {"max_tokens": 17},
    "min_group_tokens": {"min_group_tokens": 11},
    "min_group_items": {"min_group_items": 9},
    "bounds": {"bounds": False},
    "dtype": {"dtype": "bfloat16"},
}
"""A key of the log's header -> options of a search in which it is another."""
OF_FILES = {"model", "calibration", "search_tokens", "select_tokens", "space", "halves", "starts"}
"""Keys that no option decides: what the model and the set are, and what was made of them."""
FOUND = {"parts", "groups", "at_chance", "dense", "scale_by"}
"""What else stands in the header: it follows from the identity, and is read back."""
FREE = {
    "evaluations": 3,
    "tokens": 200_000,
    "minutes": 30.0,
    "batch_size": 3,
    "share": False,
    "cache_mb": 1,
    "profile": True,
}
"""Options that decide nothing of what is written, and values to go on with."""
ELSEWHERE = {"device", "engine", "workers", "store", "revision", "trust_remote_code", "judge", "heal_tokens"}
"""The same, which tests of their own are about; the revision is part of the model's identity."""
TIMES = {"latency_batch", "latency_context", "latency_decode", "latency_table"}
"""They make the table of times, whose fingerprint is identity where the budget counts time."""


BYTES = {"fit_context", "fit_batch", "fit_dtype"}
"""They say how bytes are counted: identity where there is a limit of them."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The set and the run of a search that has begun."""
    place = tmp_path_factory.mktemp("begun")
    small_set().save(place / "set")
    search(model_dir(), place / "set", place / "run", evaluations=2, **OPTIONS)
    return place


@pytest.fixture
def run(begun, tmp_path):
    """A copy of the run, to go on with."""
    return shutil.copytree(begun / "run", tmp_path / "run")


def header_of(run):
    header = json.loads((run / "trials.jsonl").read_text().splitlines()[0])
    return {key: value for key, value in header.items() if key != "checksum"}


def test_every_key_of_the_header_and_every_option_is_accounted_for(begun):
    """A key or an option that is new stands in none of the tables above until somebody has thought of it."""
    keys = {key for key in header_of(begun / "run") if key != "schema"}
    assert keys == set(ANOTHER) | OF_FILES | FOUND
    options = {option for changes in ANOTHER.values() for option in changes}
    assert set(SearchRecipe.model_fields) == options | set(FREE) | ELSEWHERE | TIMES | BYTES


@pytest.mark.parametrize("key", ANOTHER)
def test_a_search_in_which_anything_is_another_is_refused(key, begun, run):
    before = (run / "trials.jsonl").read_bytes()
    with pytest.raises(EvopError, match=f"holds another search: its {key} is"):
        search(model_dir(), begun / "set", run, evaluations=3, **{**OPTIONS, **ANOTHER[key]})
    assert (run / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize("key", sorted(OF_FILES - {"model", "calibration"}))
def test_a_log_of_other_tokens_or_units_is_refused(key, begun, run):
    """As after another tokenizer of the same name, or another order of units."""

    def changed(log):
        first, _, rest = log.partition("\n")
        return f"{json.dumps({**json.loads(first), key: 'another'})}\n{rest}"

    write_log_by_hand(run / "trials.jsonl", changed)
    with pytest.raises(EvopError, match=f"holds another search: its {key} is"):
        search(model_dir(), begun / "set", run, evaluations=3, **OPTIONS)


def test_another_model_or_another_set_is_refused(begun, run, tmp_path):
    model = shutil.copytree(model_dir(), tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-6}))
    with pytest.raises(EvopError, match="holds another search: its model is"):
        search(model, begun / "set", run, evaluations=3, **OPTIONS)
    with pytest.raises(EvopError, match="holds another search: its calibration is"):
        search(model_dir(), small_set(seed=1), run, evaluations=3, **OPTIONS)


@pytest.mark.parametrize("option", FREE)
def test_limits_and_what_only_saves_time_are_no_identity(option, begun, run):
    before = (run / "trials.jsonl").read_bytes()
    search(model_dir(), begun / "set", run, **{"evaluations": 3, **OPTIONS, option: FREE[option]})
    after = (run / "trials.jsonl").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 1 + 3

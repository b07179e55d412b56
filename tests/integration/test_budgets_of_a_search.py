"""Several budgets and a limit of bytes, from what is typed to what is pruned, audited and compared."""

import itertools
import shutil

import pytest
from sets import small_set
from timed import table_by_hand
from typer.testing import CliRunner

from evop.auditing.audit_file import AuditFile
from evop.cli import app
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.recipes.run import RunRecipe
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.stages.compare import compare
from evop.stages.run import run as run_recipe
from evop.stages.search import search
from patterns import Pattern

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32"}
SEVERAL = {"params": 0.25, "flops": 0.2, "kv": 0.3}
FIT = {"fit_in": "11MiB", "fit_context": 200, "fit_batch": 4}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


@pytest.fixture(scope="module")
def run(calibration, tmp_path_factory):
    """A run of two budgets, audited and pruned."""
    asked = {"remove": [{"params": 0.25, "kv": 0.3}, 0.2], "deploy": "any", "strategy": "random", "evaluations": 2}
    recipe = RunRecipe.of(
        model=str(model_dir()),
        out=str(tmp_path_factory.mktemp("run") / "run"),
        calibration=str(calibration),
        search={**asked, **{name: QUICK[name] for name in ("max_tokens", "min_group_tokens")}},
        audit={"random_patterns": 0, "needs": False, "speed": False, "max_tokens": 16},
        device="cpu",
        dtype="float32",
    )
    return run_recipe(recipe)


def least(file):
    """Return whether a pattern meets its budgets and no single put-back does, counted part by part."""
    space, pattern = file.on(Checkpoint.find(model_dir()))

    def enough(levels):
        gone = [part.removed[level] for part, level in zip(space.parts, levels, strict=True)]
        shares = [
            sum(getattr(cost, name) for cost in gone) >= (asked - 0.005) * getattr(space.blocks, name)
            for name, asked in file.asked.items()
        ]
        left = space.model.memory - sum(cost.memory for cost in gone)
        return all(shares) and (file.fit is None or left <= file.fit.bytes)

    fewer = [
        tuple(level - (i == at) for i, level in enumerate(pattern.levels)) for at, n in enumerate(pattern.levels) if n
    ]
    return enough(pattern.levels) and not any(enough(levels) for levels in fewer if space.legal(Pattern(levels)))


@pytest.mark.parametrize("grain", ["subblock", "mixed"])
@pytest.mark.parametrize("strategy", ["random", "genetic", "greedy", "swap"])
def test_every_budget_is_met_and_nothing_could_be_put_back(grain, strategy, calibration, tmp_path):
    found = search(
        model_dir(), calibration, tmp_path / "run", remove=SEVERAL, grain=grain, deploy="any", strategy=strategy,
        importance="magnitude" if grain == "mixed" else "auto", evaluations=3, **QUICK,
    )  # fmt: skip
    assert found.pattern.asked == SEVERAL
    assert found.pattern.cost == "params+flops+kv"
    assert least(found.pattern)


def test_time_is_one_of_several(calibration, tmp_path):
    table = table_by_hand(Checkpoint.find(model_dir()))
    table.write(tmp_path / "latency.json")
    found = search(
        model_dir(), calibration, tmp_path / "run", remove="params=0.25,latency=0.3", deploy="any", strategy="random",
        evaluations=2, latency_table=str(tmp_path / "latency.json"), **QUICK,
    )  # fmt: skip
    assert found.pattern.latency == table.fingerprint
    assert found.pattern.reached.of_blocks["params"] >= 0.245
    assert found.pattern.reached.of_blocks["latency"] >= 0.295


def test_a_model_fits(calibration, tmp_path):
    typed = ["--fit-in", "11MiB", "--fit-context", "200", "--fit-batch", "4", "--deploy", "any"]
    rest = ["--strategy", "random", "--evaluations", "3", "--max-tokens", "16", "--min-group-tokens", "10"]
    place = ["--model", str(model_dir()), "--calibration", str(calibration), "--out", str(tmp_path / "run")]
    shown = CliRunner().invoke(app, ["search", *place, *typed, *rest, "--device", "cpu", "--dtype", "float32"])
    assert shown.exit_code == 0, shown.output
    file = PatternFile.find(tmp_path / "run")
    assert (file.remove, file.cost, file.asked) == (None, "memory", {})
    assert (file.fit.bytes, file.fit.context, file.fit.batch, file.fit.dtype) == (11 * 2**20, 200, 4, "float16")
    assert file.fit.reached <= file.fit.bytes < file.fit.dense
    assert least(file)
    assert "asked for: at most 11.00 MiB of weights and cache of 200 tokens, batch 4, in float16; reached: " in (
        shown.output
    )


@pytest.mark.parametrize("asked", [{"remove": SEVERAL}, FIT])
def test_it_is_gone_on_with_to_the_same_bytes_and_by_nothing_else(asked, calibration, tmp_path):
    options = {**QUICK, "deploy": "any", "strategy": "genetic"}
    whole = search(model_dir(), calibration, tmp_path / "whole", evaluations=4, **asked, **options)
    search(model_dir(), calibration, tmp_path / "parts", evaluations=2, **asked, **options)
    for name in ("trials.jsonl", "pattern.json"):
        shutil.copy(tmp_path / "parts" / name, tmp_path / name)
    again = search(model_dir(), calibration, tmp_path / "parts", evaluations=4, **asked, **options)
    assert (again.folder / "trials.jsonl").read_bytes() == (whole.folder / "trials.jsonl").read_bytes()
    assert (again.folder / "pattern.json").read_bytes() == (whole.folder / "pattern.json").read_bytes()
    other = {"remove": {**SEVERAL, "kv": 0.31}} if "remove" in asked else {**FIT, "fit_context": 201}
    with pytest.raises(EvopError, match=f"holds another search: its {'remove' if 'remove' in asked else 'fit_in'} is"):
        search(model_dir(), calibration, tmp_path / "parts", evaluations=4, **other, **options)


def test_a_named_cost_is_the_bare_one(calibration, tmp_path):
    options = {**QUICK, "deploy": "any", "strategy": "random", "evaluations": 2}
    search(model_dir(), calibration, tmp_path / "run", remove="kv=0.2", **options)
    again = search(model_dir(), calibration, tmp_path / "run", remove=0.2, cost="kv", **options)
    assert (again.pattern.remove, again.pattern.cost) == (0.2, "kv")


def test_what_cannot_be_met_is_refused_with_what_can(calibration, tmp_path):
    with pytest.raises(EvopError, match=r"--deploy any allows removes .*; --fit-in \d+\.\d\dMiB could be"):
        search(model_dir(), calibration, tmp_path / "run", fit_in="1MiB", deploy="any", **QUICK)
    with pytest.raises(EvopError, match=r"kv=0\.\d+ could be with the others as asked"):
        search(model_dir(), calibration, tmp_path / "run", remove="params=0.1,kv=0.6", grain="head", **QUICK)
    with pytest.raises(EvopError, match=r"--fit-in 1\.00GiB asks for nothing: the dense model takes"):
        search(model_dir(), calibration, tmp_path / "run", fit_in="1GiB", **QUICK)
    with pytest.raises(EvopError, match="--fit-batch is for --fit-in, which is not given"):
        search(model_dir(), calibration, tmp_path / "run", fit_batch=2, **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_recipe_has_both_budgets_side_by_side(run):
    out = run.folder
    budgets = ("params=0.25,kv=0.3", "0.2")
    for budget in budgets:
        assert least(PatternFile.find(out / "runs" / f"random-{budget}-seed0"))
        assert (out / f"pruned-{budget}" / "config.json").is_file()
    row = AuditFile.find(out / f"audit-{budgets[0]}").patterns[0]
    assert row.asked == {"params": 0.25, "kv": 0.3}
    table = compare(list((out / "runs").iterdir()))
    assert set(table["budget"]) == set(budgets)
    assert set(itertools.chain(*(words.split(" ")[:1] for words in table["asked"]))) == {"params"}
    card = (out / f"pruned-{budgets[0]}" / "README.md").read_text()
    assert "25.0% of the blocks' parameters (reached: " in card
    assert "30.0% of the blocks' KV-cache bytes per token (reached: " in card

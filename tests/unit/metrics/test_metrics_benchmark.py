"""The benchmark of metrics on another model: its rows, and a metric that was evolved elsewhere among them."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from measured import ROOT

from evop.reference import corpus_files

DOMAINS = ("code_python", "dialogue_task", "legal_statute", "literature_en", "math_word")


@pytest.fixture
def run(tiny_folder, tmp_path, monkeypatch):
    """Runs the benchmark on a tiny random model, and reads its table."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import metrics

    carried = {"seed": 0, "metric": "evolved, worse half", "is": "|W| * sqrt(X)"}
    pd.DataFrame([{**carried, "grain": grain} for grain in ("channel", "weight 50%")]).to_csv(tmp_path / "other.csv")

    def measured(grain):
        domains = (f"--domain={name}={corpus_files()[name]}" for name in DOMAINS)
        how = ("--seeds", "1", "--evaluations", "2", "--name", "witness", "--grain", grain)
        places = ("--work", tmp_path / "work", "--results", tmp_path, "--carried", tmp_path / "other.csv")
        words = ("metrics.py", "--model", tiny_folder("llama"), *domains, *how, *places)
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        metrics.main()
        return pd.read_csv(tmp_path / "witness.csv"), (tmp_path / "witness.md").read_text()

    return measured


@pytest.mark.slow
@pytest.mark.parametrize("grain", ["channel", "weight 50%"])
def test_a_metric_is_carried_over_to_another_model(grain, run):
    """It is Wanda's here, and so loses what Wanda does; the cell that is done is not measured again."""
    frame, table = run(grain)
    ours = {"channel": ("flap", "flap, searched"), "weight 50%": ("OptiShear's, layers too",)}[grain]
    assert {"magnitude", "wanda", "OptiShear's", "evolved, mean", "carried over", *ours} <= set(frame["metric"])
    assert f"| {grain} | refitted | carried over |" in table
    losses = [column for column in frame if column.endswith((" worst", " mean"))]
    assert len(losses) == 6
    for weights in ("as pruned", "refitted"):
        carried, wanda = (
            frame[(frame["weights"] == weights) & (frame["metric"] == name)][losses].to_numpy()
            for name in ("carried over", "wanda")
        )
        assert carried == pytest.approx(wanda, abs=1e-4)
        assert (carried != 0).all()
    again, _ = run(grain)
    assert again.equals(frame)


def test_a_table_without_the_cell_is_refused(run):
    with pytest.raises(SystemExit, match="has no row evolved, worse half, weight 2:4, seed 0"):
        run("weight 2:4")

"""The commands as a user runs them: real processes, real files."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from unittest import mock

import pytest
from sets import DOMAINS, small_set
from tiny import removing, write_pattern

from evop.cli import main
from evop.reference import corpus_files, model_dir
from evop.stages.prune import prune

MODEL = str(model_dir())
FOUR_TEXTS = b"".join(b'{"text": "%s"}\n' % (word * 9).strip() for word in (b"one ", b"two ", b"three ", b"four "))
QUICK = ["--max-tokens", "32", "--min-group-tokens", "20", "--dtype", "float32"]


@dataclass
class Done:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def evop(*arguments, cwd=None):
    """A command in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "evop", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd)
    return Done(done.returncode, done.stdout, done.stderr)


def here(*arguments, cwd=None):
    """A command in this process, which spares the seconds that importing torch takes."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd or "."),
        mock.patch.object(sys, "argv", ["evop", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return Done(code, out.getvalue(), err.getvalue())


def refused(done):
    """The one line a refused command prints."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("evop: ")
    return line


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A set and a finished search."""
    place = tmp_path_factory.mktemp("road")
    small_set().save(place / "set")
    done = here(
        "search", "--model", MODEL, "--calibration", place / "set", "--out", place / "run", "--evaluations", 6, *QUICK
    )
    assert done.returncode == 0, done.stderr
    return place


def test_the_whole_road(tmp_path):
    domains = [word for name in DOMAINS for word in ("--domain", f"{name}={corpus_files()[name]}")]
    done = evop(
        "calibrate",
        *domains,
        "--group-by",
        "document",
        "--clusters",
        3,
        "--embedder",
        "lexical",
        "--passages",
        6,
        "--limit",
        150,
        "--passage-chars",
        500,
        "--min-group-tokens",
        200,
        "--select-passages",
        3,
        "--audit-passages",
        4,
        "--out",
        "set",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "(held out)" in done.stdout
    assert "math_word/0" in here("show", "set", cwd=tmp_path).stdout
    done = evop(
        "search",
        "--model",
        MODEL,
        "--calibration",
        "set",
        "--out",
        "run",
        "--evaluations",
        8,
        "--objective",
        "mean",
        *QUICK,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "stopped by: evaluations" in done.stdout
    assert "removed: layers." in here("show", "run", cwd=tmp_path).stdout
    done = here(
        "audit",
        "--model",
        MODEL,
        "--calibration",
        "set",
        "--pattern",
        "run",
        "--out",
        "audit",
        "--dtype",
        "float32",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for word in ("unseen", "random", "worst", "measured on audit"):
        assert word in done.stdout
    claim = json.loads((tmp_path / "run" / "pattern.json").read_text())["claim"]
    assert f"run: the search claimed {claim['excess'][claim['worst_group']]:.4f} for its worst group" in done.stdout
    assert claim["excess"][claim["worst_group"]] > claim["pooled"]
    written = {"audit.json", "audit.csv", "audit.png", "report.html", "speed.json"}
    assert {path.name for path in (tmp_path / "audit").iterdir()} == written
    assert "random" in here("show", "audit", cwd=tmp_path).stdout
    done = evop("prune", "--model", MODEL, "--pattern", "run", "--audit", "audit", "--out", "pruned", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "pruned" / "README.md").read_text()
    assert "math_word/0" in card
    script = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "m = AutoModelForCausalLM.from_pretrained('pruned'); t = AutoTokenizer.from_pretrained('pruned')\n"
        "print(m.num_parameters(), type(m).__name__)\n"
        "m.generate(**t('The', return_tensors='pt'), max_new_tokens=4)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4329024 LlamaForCausalLM" in done.stdout


@pytest.mark.parametrize("command", ["demo", "calibrate", "show", "search", "audit", "prune", "run", "compare"])
def test_every_command_explains_itself(command):
    done = here(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def search(road, out, *more, model=MODEL, calibration=None):
    return here(
        "search",
        "--model",
        model,
        "--calibration",
        calibration or road / "set",
        "--out",
        out,
        "--evaluations",
        4,
        *QUICK,
        *more,
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--remove", "1.2"], "--remove must lie between 0 and 1"),
        (["--remove", "0"], "--remove must lie between 0 and 1"),
        (["--remove", "0.99"], "the budget cannot be met"),
        (["--grain", "atom"], "--grain atom: unknown; choose one of layer, subblock, head, channel, mixed"),
        (["--strategy", "luck"], "strategy 'luck' is unknown"),
        (["--objective", "best"], "--objective best: unknown"),
        (["--deploy", "cloud"], "deploy 'cloud' is unknown"),
        (["--cost", "watts"], "cost 'watts' is unknown"),
        (["--protect", "layers.99"], "cannot protect 'layers.99'"),
        (["--device", "cuda:7"], "--device cuda:7"),
        (["--dtype", "int3"], "dtype"),
        (["--batch-size", "many"], "option batch_size: expected auto or a number from 1 on (found 'many')"),
        (["--min-group-tokens", "100000"], "no group of the calibration set has 100000 tokens"),
    ],
)
def test_bad_search_options_are_one_line(road, tmp_path, more, said):
    assert said in refused(search(road, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()


def test_bad_models_are_one_line(road, tmp_path):
    assert "no such folder" in refused(search(road, tmp_path / "run", model="./nowhere"))
    (tmp_path / "empty").mkdir()
    assert "config.json is missing" in refused(search(road, tmp_path / "run", model=tmp_path / "empty"))
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    assert "architecture 'mamba' is not supported" in refused(search(road, tmp_path / "run", model=strange))
    assert not (tmp_path / "run").exists()


def test_bad_sets_are_one_line(road, tmp_path):
    assert "no such folder" in refused(search(road, tmp_path / "run", calibration=tmp_path / "none"))
    small_set().save(tmp_path / "set")
    passages = tmp_path / "set" / "passages.parquet"
    passages.write_bytes(passages.read_bytes()[:-1] + b"x")
    assert "wrong checksum" in refused(search(road, tmp_path / "run", calibration=tmp_path / "set"))
    manifest = tmp_path / "set" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": "', '"schema": "x', 1))
    assert "unknown schema" in refused(search(road, tmp_path / "run", calibration=tmp_path / "set"))


def test_a_run_of_another_search_is_one_line(road):
    before = (road / "run" / "trials.jsonl").read_bytes()
    assert "holds another search: its remove is 0.25" in refused(search(road, road / "run", "--remove", "0.5"))
    assert (road / "run" / "trials.jsonl").read_bytes() == before


def test_a_run_that_went_on_after_it_had_answered_is_one_line(road, tmp_path):
    run = shutil.copytree(road / "run", tmp_path / "run")
    last = (run / "trials.jsonl").read_text().splitlines()[-1]
    with (run / "trials.jsonl").open("a") as log:
        log.write(f"{last}\n")
    for command in ("show", "compare"):
        assert "the search went on after it had answered: run its command again" in refused(here(command, run))


def test_patterns_for_another_model_are_one_line(road, tmp_path):
    other = shutil.copytree(model_dir(), tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-6}))
    for command in (
        ["audit", "--model", other, "--calibration", road / "set", "--pattern", road / "run"],
        ["prune", "--model", other, "--pattern", road / "run"],
    ):
        assert "another model or revision" in refused(here(*command, "--out", tmp_path / "out"))
        assert not (tmp_path / "out").exists()
    nothing = ["prune", "--model", MODEL, "--pattern", tmp_path / "none.json", "--out", tmp_path / "out"]
    assert "no such file" in refused(here(*nothing))


@pytest.mark.parametrize(
    ("source", "content", "more", "said"),
    [
        ("none.jsonl", None, [], "none.jsonl"),
        ("empty.jsonl", b"", [], "empty"),
        ("a.jsonl", b'{"body": "one two three four five six seven"}\n' * 9, [], "body"),
        ("latin.txt", "caf\xe9 ".encode("latin-1") * 50, [], "UTF-8"),
        ("a.jsonl", FOUR_TEXTS, ["--clusters", "5"], "cluster"),
        ("a.jsonl", b"not json\n", [], "a.jsonl"),
    ],
)
def test_bad_sources_are_one_line(tmp_path, source, content, more, said):
    if content is not None:
        (tmp_path / source).write_bytes(content)
    done = here("calibrate", "--domain", f"mine={source}", "--out", "set", *more, cwd=tmp_path)
    assert said in refused(done)
    assert not (tmp_path / "set").exists()


def test_bad_calibrate_options_are_one_line(tmp_path):
    assert "expected NAME=SOURCE" in refused(here("calibrate", "--domain", "law", "--out", tmp_path / "set"))
    done = here(
        "calibrate", "--domain", f"law={corpus_files()['math_word']}", "--hold-out", "2", "--out", tmp_path / "s"
    )
    assert "hold_out" in refused(done)
    done = here(
        "calibrate", "--domain", f"m={corpus_files()['math_word']}", "--sampler", "luck", "--out", tmp_path / "s"
    )
    assert "luck" in refused(done)


def test_bad_recipes_and_comparisons_are_one_line(road, tmp_path):
    (tmp_path / "recipe.yaml").write_text("model: m\nout: o\ncalibration: set\nsearch:\n  stratgy: cma\n")
    done = here("run", "recipe.yaml", cwd=tmp_path)
    assert refused(done) == "evop: recipe.yaml: search.stratgy: unknown key; did you mean strategy?"
    assert "no such file" in refused(here("run", "none.yaml", cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
    assert "no finished search there" in refused(here("compare", tmp_path))
    assert "no audit.json there" in refused(here("compare", road / "run", "--audit", tmp_path))
    assert "--picture needs runs of one model" in refused(
        here("compare", road / "run", "--picture", tmp_path / "p.png")
    )


def test_a_full_disk_is_one_line(road, tmp_path):
    """A file-size limit of nothing stands in for a full disk: every write fails."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from evop.cli import main; main()"
    )
    arguments = ["prune", "--model", MODEL, "--pattern", str(road / "run"), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    refused(done)
    assert list(tmp_path.iterdir()) == []


THIN = {
    "head": ["--grain", "head", "--remove", "0.1", "--strategy", "random", "--compensate", "obs"],
    "mixed": [
        *("--grain", "mixed", "--deploy", "any", "--strategy", "swap", "--compensate", "bias", "--loss", "kl"),
        *("--importance", "taylor", "--importance-over", "worst", "--width-step", 64),
    ],
}


@pytest.mark.parametrize("grain", THIN)
def test_the_whole_road_of_thinned_parts(road, tmp_path, grain):
    """Units leave: searched, shown, audited, pruned, loaded again by transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import evop.hf  # noqa: F401

    short = ["--max-tokens", "24", "--min-group-tokens", "15", "--dtype", "float32"]
    done = here(
        *("search", "--model", MODEL, "--calibration", road / "set", "--out", tmp_path / "run"),
        *("--evaluations", 3, "--seed", 1, *THIN[grain], *short, "--store", tmp_path / "store"),
    )
    assert done.returncode == 0, done.stderr
    pattern = json.loads((tmp_path / "run" / "pattern.json").read_text())
    assert pattern["kept"]
    for printed in (done.stdout, here("show", tmp_path / "run").stdout):
        assert f"{next(iter(pattern['kept']))} (keeps " in printed
        assert "that is " in printed

    done = here(
        *("audit", "--model", MODEL, "--calibration", road / "set", "--pattern", tmp_path / "run"),
        *("--out", tmp_path / "audit", "--max-tokens", 24, "--dtype", "float32", "--no-needs"),
        *("--random-patterns", 3, "--tolerate", "0.0001"),
    )
    assert done.returncode == 0, done.stderr
    assert "more than the 0.0001 nats per token that you tolerate" in " ".join(done.stdout.split())
    audit = json.loads((tmp_path / "audit" / "audit.json").read_text())
    (mine,) = audit["patterns"]
    assert set(mine["thinned"]) == set(pattern["kept"])
    # Under stock one head count alone meets the budget; even then other units leave, chosen at random.
    assert {row["name"]: row["patterns"] for row in audit["random"]} == {"random": 3}
    assert all(lost["least"] < lost["most"] for row in audit["random"] for lost in row["groups"].values())
    for printed in (done.stdout, here("show", tmp_path / "audit").stdout):
        for word in ("unseen", "random", "worst", "run"):
            assert word in printed

    done = here(
        *("prune", "--model", MODEL, "--pattern", tmp_path / "run", "--audit", tmp_path / "audit"),
        *("--out", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert "of their standard deviation at most" in done.stdout
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    dense = AutoModelForCausalLM.from_pretrained(MODEL)
    assert dense.num_parameters() - model.num_parameters() == pattern["removed_params"]
    assert model.config.model_type == ("llama" if grain == "head" else "evop_llama")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("The", return_tensors="pt")
    assert model.generate(**ids, max_new_tokens=4).shape[1] > ids["input_ids"].shape[1]
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"`{next(iter(pattern['kept']))} (keeps " in card
    assert ("got a bias" in card) == (grain == "mixed") == (tmp_path / "out" / "corrections.safetensors").is_file()
    assert ("got a least-squares weight" in card) == (grain == "head") == (tmp_path / "run" / "moments.npz").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--grain", "mixed", "--importance", "influence"], "--importance influence is not for --grain mixed; choose"),
        (["--importance", "flap"], "--importance flap is not for --grain subblock; choose influence or none"),
        (["--importance", "luck"], "--importance luck: unknown; choose one of magnitude"),
        (["--grain", "mixed", "--importance-over", "best"], "option importance_over:"),
        (["--compensate", "bias"], "--compensate bias is for thinned blocks, but --grain subblock takes blocks whole"),
        (["--compensate", "obs"], "--compensate obs is for thinned blocks, but --grain subblock takes blocks whole"),
        (["--compensate", "best"], "option compensate:"),
        (["--grain", "channel", "--compensate", "bias"], "a stock llama has no bias at mlp.down_proj"),
        (["--grain", "channel", "--width-step", "512"], "--width-step 512: must lie between 1 and the MLP's width 512"),
        (["--width-step", "64"], "--width-step is for thinned MLPs, but --grain subblock has none; leave it out"),
        (["--grain", "head", "--width-step", "64"], "--width-step is for thinned MLPs, but --grain head has none"),
        (
            ["--grain", "mixed", "--importance", "magnitude", "--importance-over", "worst"],
            "--importance-over worst: --importance magnitude does not look at groups; leave it out",
        ),
        (["--importance", "none", "--importance-over", "worst"], "--importance none does not look at groups"),
        (["--loss", "mse"], "option loss:"),
        (["--scale", "best"], "option scale:"),
        (["--strategy", "cma", "--elitism", "1"], "strategy cma takes no elitism"),
        (["--strategy", "genetic", "--elitism", "50"], "elitism must lie in 0 .. 49"),
    ],
)
def test_bad_options_of_thinned_parts_are_one_line(road, tmp_path, more, said):
    assert said in refused(search(road, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()


def test_debug_shows_a_traceback(tmp_path):
    done = evop("--debug", "show", tmp_path / "none")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_heal(tmp_path):
    """A set without text to learn from is refused; with it, what is written says how the groups came back."""
    pattern = write_pattern(tmp_path / "p.json", *removing(model_dir(), "layers.2", grain="layer"), model_dir())
    prune(MODEL, pattern, tmp_path / "pruned", parity=False)
    given = ["heal", "--model", MODEL, "--pattern", tmp_path / "pruned", "--out", tmp_path / "healed", *QUICK[:4]]
    small_set().save(tmp_path / "without")
    assert "--train-tokens" in refused(here(*given, "--calibration", tmp_path / "without"))
    small_set(train_tokens=500).save(tmp_path / "set")
    done = here(*given, "--calibration", tmp_path / "set", "--tokens", "0.2k", "--look-every", "100", "--rank", "2")
    assert done.returncode == 0, done.stderr
    assert "the tokens ended" in done.stdout
    assert "healed/heal.json" in done.stdout
    assert json.loads((tmp_path / "healed" / "heal.json").read_text())["recipe"]["tokens"] == 200

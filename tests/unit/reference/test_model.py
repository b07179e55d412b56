"""The shipped model: it loads, and it has learnt every domain."""

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evop.reference import corpus_files, model_dir
from evop.reference.making.losses import DomainLoss, held_out_losses, main, table


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(model_dir(), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(model_dir())


def test_model_is_the_one_its_card_describes(model, tokenizer):
    card = (model_dir() / "README.md").read_text(encoding="utf-8")
    assert model.config.architectures == ["LlamaForCausalLM"]
    assert f"{model.num_parameters():,} parameters" in card
    assert len(tokenizer) == model.config.vocab_size == 4096
    assert tokenizer.convert_ids_to_tokens(0) == tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.decode(tokenizer("def f(x):\n    return é")["input_ids"]) == "def f(x):\n    return é"


def test_loss_is_sane_and_near_the_card_on_every_domain(model, tokenizer):
    """A model that knew only token frequencies would be above 6 nats."""
    texts = {domain: pd.read_parquet(path).text[:24].tolist() for domain, path in corpus_files().items()}
    card = (model_dir() / "README.md").read_text(encoding="utf-8")
    for row in held_out_losses(model, tokenizer, texts):
        stated = float(card.partition(f"| {row.domain} | ")[2].partition(" |")[0])
        assert row.passages == 24
        assert row.loss == pytest.approx(stated, abs=0.45)
        assert row.loss < (4.2 if row.domain == "literature_en" else 3.9)


def test_losses_do_not_depend_on_the_batch(model, tokenizer):
    texts = {"a": ["A short one.", "The second text is a little longer than the first.", "x", ""]}
    (together,) = held_out_losses(model, tokenizer, texts, batch_size=8)
    (alone,) = held_out_losses(model, tokenizer, texts, batch_size=1)
    assert (together.passages, together.tokens) == (alone.passages, alone.tokens)
    assert together.loss == pytest.approx(alone.loss, abs=1e-5)


def test_loss_is_the_one_transformers_computes(model, tokenizer):
    text = "The novel opens on a rainy morning in the city."
    (row,) = held_out_losses(model, tokenizer, {"a": [text]})
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert row.loss == pytest.approx(float(model(input_ids=ids, labels=ids).loss), abs=1e-5)


def test_table_has_a_row_for_each_domain():
    assert table([DomainLoss("law", 2.5, 3, 1234)]).splitlines()[2] == "| law | 2.500 | 3 | 1,234 |"


def test_command_prints_the_table(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("Some words to read here.\n<|endoftext|>\nAnd more of them.", encoding="utf-8")
    assert main(["--text", f"a={tmp_path / 'a.txt'}"]) == 0
    assert "| a | " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--text", "a=missing.txt"], ["--model", "missing"]])
def test_command_refuses_bad_input_in_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")

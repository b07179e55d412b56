"""The anchor: as much text as asked for, in two parts that have nothing in common, and nothing of what is reported."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import Passage
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.anchor import _first, _held_out, anchor_of
from evop.reference import corpus_files
from evop.tokens.passages import TokenPassages

LONG = 40


@pytest.fixture
def loaded(tiny_folder):
    return load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")


def anchor(loaded, folder, **options):
    asked = {"tokens": 300, "max_tokens": LONG, "text": None, "seed": 0, "folder": folder}
    return anchor_of(loaded, **{**asked, **options})


def story(number, words=60):
    """A text that shares nothing with another."""
    return " ".join(f"w{number}x{i}" for i in range(words))


def written(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def check_sizes(made, tokens, most):
    assert tokens <= made.train.total < tokens + most
    assert len(made.held_out.ids) >= 2
    assert 4 * made.held_out.total >= made.train.total + made.held_out.total
    assert set(made.train.groups) == set(made.held_out.groups) == {"anchor"}
    assert max(map(len, made.train.ids + made.held_out.ids)) <= most
    assert not set(made.train.documents) & set(made.held_out.documents)
    assert not set(made.train.ids) & set(made.held_out.ids)


@pytest.mark.parametrize("tokens", [1, 50, 300, 1000])
def test_an_anchor_of_samples_is_as_large_as_asked(loaded, tmp_path, tokens):
    made = anchor(loaded, tmp_path, tokens=tokens)
    check_sizes(made, tokens, LONG)
    assert made.source == f"unprompted samples of {loaded.checkpoint.name} (temperature 1, seed 0)"
    assert anchor(loaded, tmp_path, tokens=tokens) == made
    assert len(list(tmp_path.iterdir())) == 1


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(15, 255), min_size=1, max_size=60), st.integers(1, 4000))
def test_samples_that_are_enough_stay_enough_when_some_are_held_out(sizes, tokens):
    enough = max(-(-(tokens + 256) * 4 // 3), tokens + 2 * 256)
    while sum(sizes) < enough:
        sizes = [*sizes, *sizes]
    samples = TokenPassages(tuple((0,) * (size + 1) for size in sizes), ("anchor",) * len(sizes), (), ())
    held = _held_out(samples)
    total, of_held = sum(sizes), sum(sizes[i] for i in held)
    assert len(held) >= 2
    assert 4 * of_held >= total
    assert total - of_held >= tokens
    number = len(_first(samples, tokens, 1))
    assert sum(sizes[:number]) >= tokens > sum(sizes[: number - 1])


def test_an_anchor_of_a_corpus_is_as_large_as_asked(loaded, tmp_path):
    corpus = corpus_files()["literature_en"]
    made = anchor(loaded, tmp_path / "none", text=f"{corpus}:text", tokens=2_000, max_tokens=256)
    check_sizes(made, 2_000, 256)
    assert made.source.startswith("literature_en.parquet@")
    assert not (tmp_path / "none").exists()


def test_the_seed_decides_what_is_held_out(loaded, tmp_path):
    text = written(tmp_path / "text.jsonl", [story(i) for i in range(12)])
    made, other = (anchor(loaded, tmp_path, text=text, seed=seed) for seed in (0, 1))
    assert anchor(loaded, tmp_path, text=text) == made
    assert set(other.held_out.documents) != set(made.held_out.documents)


def test_no_document_of_a_corpus_lies_in_both_parts(loaded, tmp_path):
    """Long documents are split into pieces; two share half of their text, and count as one."""
    texts = [story(i, 400) for i in range(8)]
    texts.append(f"{story(3, 200)} {story(99, 200)}")
    made = anchor(loaded, tmp_path, text=written(tmp_path / "long.jsonl", texts), tokens=3_000, max_tokens=128)
    check_sizes(made, 3_000, 128)
    assert len(set(made.train.documents)) < len(made.train.ids)
    runs = [{run for ids in part.ids for run in runs_of(loaded.tokenizer.decode(ids))} for part in parts_of(made)]
    assert not runs[0] & runs[1]


def parts_of(made):
    return made.train, made.held_out


def runs_of(text):
    """Every five words in a row, without the first and last word, of which half may be missing."""
    words = text.split()[1:-1]
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_the_first_passages_are_of_different_documents(loaded, tmp_path):
    texts = [story(i, 400) for i in range(12)]
    made = anchor(loaded, tmp_path, text=written(tmp_path / "long.jsonl", texts), tokens=200)
    assert len(set(made.train.documents)) == len(made.train.ids)


def test_a_corpus_says_nothing_of_what_is_reported(loaded, tmp_path):
    """Neither a passage of the set, nor one cut elsewhere, nor another passage of its document."""
    texts = [story(i, 120) for i in range(12)]
    text = written(tmp_path / "all.jsonl", texts)
    reported = [
        Passage.of("law", "all.jsonl@1#1", texts[0]),
        Passage.of("law", "d", f"{story('new', 20)} {' '.join(texts[1].split()[10:70])}"),
    ]
    free = anchor(loaded, tmp_path, text=text, tokens=1_200)
    apart = anchor(loaded, tmp_path, text=text, tokens=1_200, apart_from=reported)

    def said(made):
        ids = made.train.ids + made.held_out.ids
        return {word.split("x")[0] for each in ids for word in loaded.tokenizer.decode(each).split()}

    assert {"w0", "w1"} <= said(free)
    assert not {"w0", "w1"} & said(apart)


def test_plain_text_is_split_at_its_separators(loaded, tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("\n<|endoftext|>\n".join(story(i) for i in range(12)))
    check_sizes(anchor(loaded, tmp_path, text=str(path), tokens=200), 200, LONG)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"text": "a"', "line 1: unreadable JSON"),
        (b'{"body": "a"}', "no column text or messages; it has: body"),
        (json.dumps({"text": story(0)}).encode(), r"1 document\(s\) left of 2 passages, expected two"),
        (
            "\n".join(json.dumps({"text": story(i, 9)}) for i in range(5)).encode(),
            "tokens to learn from and .* passages to choose by, expected 300 and",
        ),
    ],
)
def test_a_corpus_that_cannot_be_used_is_one_line(loaded, tmp_path, content, words):
    path = tmp_path / "text.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvopError, match=f"^--anchor-text.*{words}") as raised:
        anchor(loaded, tmp_path, text=str(path))
    assert "\n" not in str(raised.value)

"""Packing: the licence decides, documents take turns, the same input gives the same file."""

import json

import numpy as np
import pytest

from evop.reference import DOMAINS
from evop.reference.making.pack import PackError, Row, choose, main, pieces, read_rows


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_pieces_lose_nothing_but_white_space():
    text = "\n\n".join("One sentence here. Another there." * 9 for _ in range(40))
    cut = pieces(text, 1000)
    assert max(map(len, cut)) <= 1000
    assert min(map(len, cut)) > 500
    assert "".join("".join(cut).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["x" * 2500, "short", "  \n ", "a b " * 700])
def test_pieces_of_odd_texts_keep_the_limit(text):
    cut = pieces(text, 1000)
    assert all(0 < len(piece) <= 1000 for piece in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())


def test_rows_of_unknown_or_excluded_origin_are_left_out(tmp_path):
    path = write(
        tmp_path / "code_python.jsonl",
        {"text": "kept", "source": "pallets/flask:src/flask/app.py"},
        {"text": "other repository", "source": "someone/else:a.py"},
        {"text": "own licence", "source": "sympy/sympy:sympy/parsing/latex/_x.py"},
    )
    assert list(read_rows(path, "code_python")) == [Row("kept", "pallets/flask:src/flask/app.py", "BSD-3-Clause")]


def test_a_document_is_the_file_the_row_or_the_article(tmp_path):
    math = "openai/grade-school-math:grade_school_math/data/train.jsonl"
    path = write(tmp_path / "m.jsonl", {"text": "one", "source": math}, {"text": "two", "source": math})
    assert [row.document for row in read_rows(path, "math_word")] == [f"{math}#0", f"{math}#1"]
    selqa = "emorynlp/selqa:ass/selqa-ass-dev.json"
    path = write(tmp_path / "e.jsonl", {"text": "Chile: Government\n\nThe", "source": selqa})
    assert [row.document for row in read_rows(path, "encyclopedic")] == [f"{selqa}#Chile"]


def test_documents_take_turns():
    rows = [Row(f"{'long' if n < 50 else n} {n}", "long" if n < 50 else str(n), "MIT") for n in range(60)]
    chosen = choose(rows, sum(len(row.text) for row in rows[39:]), np.random.default_rng(0))
    assert {row.document for row in chosen} == {row.document for row in rows}
    assert len({row.document for row in chosen[:11]}) == 11


def test_the_same_input_gives_the_same_bytes(tmp_path, capsys):
    from evop.reference.making.sources import SOURCES

    for domain in DOMAINS:
        repository = SOURCES[domain][0].repository
        write(tmp_path / f"{domain}.jsonl", *({"text": f"t {n}", "source": f"{repository}:{n}"} for n in range(9)))
    for out in ("a", "b"):
        assert main(["--corpora", str(tmp_path), "--out", str(tmp_path / out), "--max-chars", "20"]) == 0
    for domain in DOMAINS:
        assert (tmp_path / "a" / f"{domain}.parquet").read_bytes() == (
            tmp_path / "b" / f"{domain}.parquet"
        ).read_bytes()
    assert "math_word: 6 rows, 6 documents, 18 characters" in capsys.readouterr().out


def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys):
    assert main(["--corpora", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "biomedical.jsonl: no such file" in error
    assert not (tmp_path / "out").exists()
    path = write(tmp_path / "math_word.jsonl", {"text": "no source"})
    with pytest.raises(PackError, match="line 1"):
        list(read_rows(path, "math_word"))

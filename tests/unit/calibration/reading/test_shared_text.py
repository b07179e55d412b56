"""What documents share, wherever their passages are cut."""

import json
import random
import re

import pytest

from calibration import CalibrationError, DomainSource, Recipe, build_calibration_set, read_passages
from calibration.reading.shared_text import said_before, shared_text
from calibration.reading.shingles import shingle_sets


def prose(rng, n, words=20_000):
    return " ".join(f"w{rng.randrange(words)}" for _ in range(n))


def shingles(text):
    tokens = re.findall(r"\w+", text.casefold())
    return {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)}


def written(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return DomainSource(name="d", source=str(path))


@pytest.mark.parametrize("header", [40, 150, 300, 500])
def test_a_copy_behind_a_header_is_found_wherever_it_is_cut(tmp_path, header):
    """By brute force: no passage that is left shares a fifth of its words with an original in another document."""
    rng = random.Random(header)
    originals = [prose(rng, 600) for _ in range(40)]
    copies = [prose(rng, 200)[:header] + " " + original for original in originals[:20]]
    source = written(tmp_path / "d.jsonl", [*originals, *copies])
    reading = read_passages(Recipe(domains=[source]))
    of_original = [shingles(text) for text in originals]
    joined = dict.fromkeys(range(20), 0)
    for passage in reading.passages:
        mine = shingles(passage.plain)
        for number, other in enumerate(of_original):
            if len(mine & other) >= len(mine) / 5:
                assert passage.document.endswith(f"#{number}")
                joined[number] = joined.get(number, 0) + (passage.plain not in originals[number])
    left = sum(shingles(p.plain).isdisjoint(of_original[n]) for n in range(20) for p in reading.passages)
    assert left  # the test looks at passages that share nothing, too
    domain = reading.domains["d"]
    assert domain.near_duplicates >= 20 * (len(originals[0]) // 1000 - 1)
    if header >= 300:  # the header's passage is less than four fifths copy
        assert domain.joined_documents == 20


def test_of_both_rules_none_is_left_and_boilerplate_joins_nothing():
    rng = random.Random(0)
    header = prose(rng, 90)
    texts = [f"{header} {prose(rng, 60)}" for _ in range(40)]
    names = [f"d{i}" for i in range(40)]
    found = shared_text(shingle_sets(texts), names, ["d"] * 40)
    assert found.joined == {}
    assert found.boilerplate == tuple(range(40))
    few = shared_text(shingle_sets(texts[:10]), names[:10], ["d"] * 10)  # ten documents are a family
    assert set(few.joined.values()) == {"d0"}
    assert few.boilerplate == ()


def test_a_fifth_joins_if_it_is_thirty_shingles():
    rng = random.Random(1)
    shared = prose(rng, 200).split()

    def joins(common, own):
        texts = [" ".join(shared[:common]) + " " + prose(rng, own), prose(rng, 900) + " " + " ".join(shared[:common])]
        return bool(shared_text(shingle_sets(texts), ["a", "b"], ["d", "d"]).joined)

    assert joins(34, 112)  # 30 of 142 shingles
    assert not joins(33, 60)  # 29 of 89
    assert not joins(34, 122)  # 30 of 152
    assert not joins(33, 0)  # all of a short text


def test_a_passage_out_of_one_document_is_said_before_and_the_first_stays():
    rng = random.Random(2)
    first, second = prose(rng, 150), prose(rng, 150)
    across = " ".join((first + " " + second).split()[75:225])
    sets = shingle_sets([first, second, across, across, first])
    assert said_before(sets, ["a", "a", "b", "c", "a"]) == [2, 3]
    assert said_before(sets[2::-1], ["b", "a", "a"]) == []
    assert said_before([], []) == []
    assert said_before(sets[:3], ["a", "a", "a"]) == []  # of one document


def test_a_domain_that_is_one_document_is_refused(tmp_path):
    rng = random.Random(3)
    common = prose(rng, 70)
    source = written(tmp_path / "d.jsonl", [f"{common} {prose(rng, 70)}" for _ in range(6)])
    with pytest.raises(CalibrationError, match="its 6 documents share so much text that they count as 1, expected"):
        read_passages(Recipe(domains=[source]))


def test_a_set_says_what_it_joined(tmp_path):
    rng = random.Random(4)
    originals = [prose(rng, 130) for _ in range(60)]
    versions = [f"{prose(rng, 70)} {' '.join(text.split()[:60])}" for text in originals[:3]]
    licensed = [f"{' '.join(originals[40].split()[:60])} {prose(rng, 80)}" for _ in range(12)]
    source = written(tmp_path / "d.jsonl", [*originals, *versions, *licensed])
    lines = []
    recipe = Recipe(domains=[source], clusters=1, min_group_tokens=100)
    built = build_calibration_set(recipe, report=lines.append)
    (entry,) = built.manifest.domains
    assert (entry.documents, entry.joined_documents, entry.largest_joined, entry.boilerplate) == (72, 3, 2, 13)
    assert any("; 3 more documents share text with one of them and are joined to it" in line for line in lines)
    notes = " ".join(built.manifest.notes)
    assert "documents that share text with another count as one with it: d 3" in notes
    assert "it lies in several splits and joins nothing: d 13 of 75" in notes
    assert "more than a tenth of the passages" not in notes

"""The set on disk, and what it says about itself."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from by_hand import write_by_hand
from pydantic import ValidationError

import calibration
from calibration import (
    CalibrationError,
    CalibrationSet,
    DomainSource,
    Recipe,
    build_calibration_set,
    describe,
    read_passages,
)

FILES = ["centroids.npy", "clusters.png", "manifest.json", "passages.parquet"]


@pytest.fixture(scope="module")
def built(recipe):
    return build_calibration_set(recipe)


@pytest.fixture
def saved(built, tmp_path):
    built.save(tmp_path / "set")
    return tmp_path / "set"


def test_every_exported_name_is_there():
    assert all(hasattr(calibration, name) for name in calibration.__all__)


def test_import_is_light():
    heavy = ["torch", "datasets", "sklearn", "sentence_transformers", "transformers", "matplotlib", "pandas", "pyarrow"]
    code = f"import sys, calibration; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    canary = f"import sys, calibration, sklearn; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", canary], text=True).strip() != "[]"


def test_round_trip(built, saved):
    loaded = CalibrationSet.load(saved)
    assert loaded.passages == built.passages
    assert loaded.manifest.model_dump() == built.manifest.model_dump()
    assert loaded.groups == built.groups
    assert loaded.fingerprint == built.fingerprint
    assert np.array_equal(loaded.centroids, built.centroids)
    assert loaded.centroids.dtype == np.float32
    assert loaded.centroids.shape == (len(built.groups), built.manifest.embedding_dim)
    assert sorted(entry.name for entry in saved.parent.rglob("*")) == sorted([*FILES, "set"])
    loaded.save(saved.parent / "again")
    for name in FILES:
        assert (saved / name).read_bytes() == (saved.parent / "again" / name).read_bytes()


def test_same_recipe_same_bytes(recipe, saved, tmp_path):
    build_calibration_set(recipe).save(tmp_path / "other")
    for name in FILES:
        assert (saved / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_manifest_opens_with_its_schema_and_tells_no_time(saved):
    text = (saved / "manifest.json").read_text()
    assert text.startswith('{\n  "schema": "evop.calibration_set/5",')
    values = json.loads(text)
    assert set(values["files"]) == {"passages.parquet", "centroids.npy"}
    assert values["domains"][0]["sources"][0]["sha256"]


def test_counts_add_up(built):
    for entry in built.manifest.domains:
        kept = sum(entry.splits.values())
        assert kept + entry.not_sampled + entry.over_cap + entry.given_up == entry.passages
        assert kept == sum(p.domain == entry.name for p in built.passages)
        assert entry.splits["search"] == 20
    assert built.manifest.groups[0].passages["search"] == sum(
        p.group == built.groups[0].key for p in built.split("search")
    )


def test_groups_have_labels(built):
    assert [group.key for group in built.groups[:2]] == ["land/0", "land/1"]
    assert built.groups[0].label == f"land/0 {built.groups[0].name}"
    assert sum(group.unseen for group in built.groups) == 2
    told = {name for group in built.groups for name in group.name.split(", ")}
    assert {"tide", "court", "whale"} & told or len(told) > 12


def test_labels_say_which_groups_no_search_could_see(recipe):
    built = build_calibration_set(recipe.model_copy(update={"sampler": "evop", "passages": 2}))
    sampled = {p.group for p in built.split("search")}
    assert len(sampled) < sum(not group.unseen for group in built.groups)
    assert list(built.labels) == [group.key for group in built.groups]
    for group in built.groups:
        absent = not group.unseen and group.key not in sampled
        assert built.labels[group.key] == group.label + (" (no search passages)" if absent else "")


def test_what_a_build_counted_cannot_be_changed(built, recipe):
    reading = read_passages(recipe)
    with pytest.raises(FrozenInstanceError):
        reading.domains["land"].passages = 0
    for entry in (built.manifest, built.manifest.domains[0], built.manifest.groups[0]):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(entry, next(iter(type(entry).model_fields)), None)


def test_split_of_another_name(built):
    with pytest.raises(CalibrationError, match="no split 'test'; expected one of search, select, audit, unseen, train"):
        built.split("test")


def test_describe_and_frame(built):
    rows = describe(built)
    assert len(rows) == len(built.groups)
    assert sum(row["search"] for row in rows) == len(built.split("search"))
    assert [row["held_out"] for row in rows] == [group.unseen for group in built.groups]
    frame = built.passage_frame()
    assert len(frame) == len(built.passages)
    assert frame.notna().all().all()
    assert frame[["x", "y"]].abs().max().max() <= 1


def test_chats_survive(tmp_path):
    path = tmp_path / "chats.jsonl"
    talk = [
        [
            {"role": "user", "content": f"please tell me about thing{i}"},
            {"role": "assistant", "content": f"thing{i * 3}!"},
        ]
        for i in range(12)
    ]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in talk))
    recipe = Recipe(domains=[DomainSource(name="d", source=str(path))], min_group_tokens=1)
    build_calibration_set(recipe).save(tmp_path / "set")
    loaded = CalibrationSet.load(tmp_path / "set")
    assert all(list(p.messages) in talk and p.text is None for p in loaded.passages)


def test_names_that_the_font_lacks_are_no_warning(tmp_path):
    """Chinese names are drawn as boxes beside the cluster's number; nothing is printed over it."""
    topics = ["税收 法院 法律", "面包 面粉 烤箱", "大海 鲸鱼 珊瑚"]
    rows = [
        {"text": f"{topics[i % 3]} 第{i}页 " + " ".join(f"{chr(0x4E00 + i)}{n}" for n in range(9))} for i in range(60)
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = Recipe(domains=[DomainSource(name="d", source=str(path))], clusters=3, min_group_tokens=1)
    built = build_calibration_set(recipe)
    assert any("法院" in group.name for group in built.groups)
    built.save(tmp_path / "set")


def edit(folder, change):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    write_by_hand(path, values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "not a calibration set"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json: cannot be read"),
        (
            lambda f: edit(f, lambda v: v.update(schema="evop.calibration_set/9")),
            "unknown schema 'evop.calibration_set/9'",
        ),
        (lambda f: edit(f, lambda v: v.pop("schema")), "unknown schema None"),
        (lambda f: edit(f, lambda v: v.update(extra=1)), "key extra"),
        (lambda f: edit(f, lambda v: v["recipe"].update(extra=1)), "key recipe.extra"),
        (lambda f: (f / "passages.parquet").unlink(), "passages.parquet: cannot be read"),
        (lambda f: (f / "passages.parquet").write_bytes(b"x"), "passages.parquet: wrong checksum"),
        (lambda f: (f / "centroids.npy").write_bytes(b"x"), "centroids.npy: wrong checksum"),
    ],
)
def test_a_damaged_set_is_refused(saved, damage, message):
    damage(saved)
    with pytest.raises(CalibrationError, match=message) as caught:
        CalibrationSet.load(saved)
    assert "\n" not in str(caught.value)


def test_no_such_folder(tmp_path):
    with pytest.raises(CalibrationError, match="no such folder"):
        CalibrationSet.load(tmp_path / "nowhere")


def test_a_foreign_folder_is_left_alone(built, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CalibrationError, match=r"holds thesis\.txt, expected an empty folder or a calibration set"):
        built.save(tmp_path)
    with pytest.raises(CalibrationError, match="is a file, expected a folder"):
        built.save(tmp_path / "thesis.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_and_an_older_set_are_taken(built, saved, recipe, tmp_path):
    other = build_calibration_set(recipe.model_copy(update={"seed": 5}))
    (tmp_path / "empty").mkdir()
    other.save(tmp_path / "empty")
    other.save(saved)
    assert CalibrationSet.load(saved).fingerprint == other.fingerprint != built.fingerprint
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "set"]


def test_a_full_disk_leaves_nothing(built, tmp_path, monkeypatch):
    from pathlib import Path

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CalibrationError, match="No space left on device; nothing was saved"):
        built.save(tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_real_texts_of_one_source_in_rows(corpora):
    domains = [
        DomainSource(name="math", source=str(corpora / "math_word.jsonl")),
        DomainSource(name="law", source=str(corpora / "legal_statute.jsonl"), group_by="source"),
    ]
    built = build_calibration_set(Recipe(domains=domains, clusters=4, limit=400))
    assert len(built.split("search")) == 128
    assert min(len(built.split(s)) for s in ("select", "audit", "unseen")) > 0
    assert all(len(group.name.split(", ")) == 3 for group in built.groups)

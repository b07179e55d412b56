"""What is shipped: corpora, NOTICE and the licences between them."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from plan_of_the_house import FILES, imports

from evop import reference
from evop.reference.making.sources import NOT_TAKEN, SOURCES

FOLDER = Path(reference.__file__).parent


@pytest.fixture(scope="module")
def corpora() -> dict[str, pd.DataFrame]:
    return {domain: pd.read_parquet(path) for domain, path in reference.corpus_files().items()}


def test_package_data_stays_under_20_megabytes():
    files = [file for name in ("model", "corpora") for file in (FOLDER / name).iterdir()]
    assert sum(file.stat().st_size for file in [*files, FOLDER / "NOTICE"]) < 20_000_000


def test_the_eight_domains_are_there_and_sorted():
    assert list(reference.corpus_files()) == sorted(reference.DOMAINS)
    assert {path.stem for path in (FOLDER / "corpora").iterdir()} == set(reference.DOMAINS)
    assert set(SOURCES) == set(reference.DOMAINS)


@pytest.mark.parametrize("domain", reference.DOMAINS)
def test_corpus_has_its_columns_and_is_large_enough(corpora, domain):
    frame = corpora[domain]
    assert list(frame.columns) == ["text", "document", "licence"]
    assert all(isinstance(value, str) and value.strip() for value in frame.to_numpy().flat)
    assert frame.text.is_unique
    assert frame.text.str.len().sum() > (350_000 if domain == "math_word" else 1_400_000)
    assert frame.text.str.len().max() <= 4_000
    assert frame.document.nunique() >= 80


@pytest.mark.parametrize("domain", reference.DOMAINS)
def test_rows_come_from_known_sources_under_their_licence(corpora, domain):
    licences = {source.repository: source.licence for source in SOURCES[domain]}
    for document, licence in zip(corpora[domain].document, corpora[domain].licence, strict=True):
        repository, _, path = document.partition(":")
        assert licences[repository] == licence
        assert not path.startswith(NOT_TAKEN.get(repository, ("\0",)))


def test_corpora_load_with_datasets(tmp_path):
    from datasets import load_dataset

    files = {domain: str(path) for domain, path in reference.corpus_files().items()}
    loaded = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert set(loaded) == set(reference.DOMAINS)
    assert all(part.column_names == ["text", "document", "licence"] for part in loaded.values())


def test_notice_names_every_source_commit_and_licence(corpora):
    notice = reference.notice_file().read_text(encoding="utf-8")
    terms = notice.partition("3. LICENCES")[2]
    for domain, sources in SOURCES.items():
        part = notice.partition(f"\n{domain}\n")[2].partition("\n\n")[0]
        for source in sources:
            entry = part.partition(f"{source.repository} @ {source.commit}")[2].partition(" @ ")[0]
            assert f"https://github.com/{source.repository}" in entry
            assert source.licence in entry
    for licence in set().union(*(frame.licence for frame in corpora.values())):
        for name in licence.split(" OR "):
            assert name in terms


def test_a_missing_file_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match="reinstall evop") as caught:
        reference.model_dir()
    assert "\n" not in str(caught.value)


def test_nothing_imports_how_the_model_was_made():
    making = {module for module in FILES if module.startswith("evop.reference.making")}
    assert len(making) > 5
    assert not [module for module in FILES.keys() - making if imports(module) & making]


@pytest.mark.parametrize(("module", "heavy"), [("evop.reference", False), ("evop.reference.making.losses", True)])
def test_reference_loads_no_torch(module, heavy):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(heavy)

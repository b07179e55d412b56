"""The embedded default: a small language model and small corpora of the same eight domains.

Everything here is package data, wherever the package was installed. Loads no torch. How model and corpora were made
is kept in ``evop.reference.making``, which nothing of evop imports.

Example:
    >>> from evop import reference
    >>> reference.corpus_files()["math_word"].name
    'math_word.parquet'
"""

from importlib.resources import files
from pathlib import Path

__all__ = ["DOMAINS", "corpus_files", "model_dir", "notice_file"]

DOMAINS: tuple[str, ...] = (
    "biomedical",
    "code_python",
    "dialogue_task",
    "encyclopedic",
    "legal_statute",
    "literature_en",
    "math_word",
    "tech_docs",
)


def model_dir() -> Path:
    """Return the Hugging Face folder of the reference model."""
    return _data("model")


def corpus_files() -> dict[str, Path]:
    """Return the Parquet file of every domain, domains in alphabetical order.

    Columns: `text`, `document` (what a row was taken from; rows of one document never part when a set is
    split) and `licence` (an SPDX expression, explained in NOTICE).
    """
    return {domain: _data("corpora", f"{domain}.parquet") for domain in DOMAINS}


def notice_file() -> Path:
    """Return the NOTICE: sources, licences and changes of everything shipped here."""
    return _data("NOTICE")


def _data(*parts: str) -> Path:
    path = Path(str(files(__name__).joinpath(*parts)))
    if not path.exists():
        raise FileNotFoundError(
            f"embedded default: {path} is missing; expected it as package data of evop; reinstall evop from "
            "a wheel or a full checkout (a zipped package cannot hold it)"
        )
    return path

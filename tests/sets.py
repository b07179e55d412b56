"""Small calibration sets of the embedded corpora, for tests that run a model."""

from __future__ import annotations

import json
from functools import cache

from calibration import CalibrationSet, DomainSource, Recipe, build_calibration_set
from evop.reference import corpus_files

DOMAINS = ("code_python", "legal_statute", "math_word")


def small_set(**options: object) -> CalibrationSet:
    """Build a set of three domains, two searched clusters each: a pattern is measured in a fraction of a second.

    Built once per process for the same options; nobody changes it.
    """
    return _small_set(json.dumps(options, sort_keys=True))


def new_small_set(**options: object) -> CalibrationSet:
    """Build the same set anew."""
    files = corpus_files()
    recipe = Recipe.model_validate(
        {
            "domains": [DomainSource(name=name, source=str(files[name])) for name in DOMAINS],
            "group_by": "document",
            "clusters": 3,
            "embedder": "lexical",
            "passages": 6,
            "limit": 150,
            "passage_chars": 500,
            "min_group_tokens": 200,
            "select_passages": 3,
            "audit_passages": 4,
            **options,
        }
    )
    return build_calibration_set(recipe)


@cache
def _small_set(options: str) -> CalibrationSet:
    return new_small_set(**json.loads(options))

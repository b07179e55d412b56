"""Calibration sets: text of several domains, clustered, split and sampled. Knows no language model.

Importing this is light: numpy and pydantic; ``datasets``, scikit-learn and the rest wait until they are used.
"""

from calibration.build import build_calibration_set
from calibration.calibration_set import CalibrationSet
from calibration.choosing.sample import SAMPLERS
from calibration.clustering.embed import EMBEDDERS
from calibration.describe import describe
from calibration.errors import CalibrationError
from calibration.manifest import Manifest
from calibration.passage import SPLITS, Group, Passage, passage_id
from calibration.reading.read import read_passages
from calibration.recipe import DomainSource, Recipe, TaskSource

__all__ = [
    "EMBEDDERS",
    "SAMPLERS",
    "SPLITS",
    "CalibrationError",
    "CalibrationSet",
    "DomainSource",
    "Group",
    "Manifest",
    "Passage",
    "Recipe",
    "TaskSource",
    "build_calibration_set",
    "describe",
    "passage_id",
    "read_passages",
]

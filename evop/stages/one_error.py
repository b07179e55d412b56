"""One error for all stages: what leaves a stage is an ``EvopError``, whichever package raised it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from calibration.errors import CalibrationError
from evop.errors import EvopError
from patterns.errors import PatternError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def one_error(stage: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Turn the errors of other packages into ``EvopError``, so that the caller of a stage can catch one class."""

    @wraps(stage)
    def guarded(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return stage(*arguments, **options)
        except (CalibrationError, PatternError) as error:
            raise EvopError(str(error)) from error

    return guarded

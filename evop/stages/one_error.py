"""What leaves a stage is one kind of error, whatever room it began in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from calibration.errors import CalibrationError
from evop.errors import EvopError
from patterns.errors import PatternError

Asked = ParamSpec("Asked")
Result = TypeVar("Result")


def one_error(stage: Callable[Asked, Result]) -> Callable[Asked, Result]:
    """Let only ``EvopError`` leave a stage: who calls one need not know which package found what is wrong."""

    @wraps(stage)
    def guarded(*arguments: Asked.args, **options: Asked.kwargs) -> Result:
        try:
            return stage(*arguments, **options)
        except (CalibrationError, PatternError) as error:
            raise EvopError(str(error)) from error

    return guarded

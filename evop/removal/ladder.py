"""How many units of a block may leave: ladders of widths and of head counts."""

from __future__ import annotations

from typing import Any

from evop.errors import EvopError

MOST_WIDTHS = 16
"""Levels of an MLP's ladder at most, the one at which it is gone included."""
LARGEST_STEP = 256
"""Runtimes and K-quants want widths that are multiples of this."""


def width_ladder(width: int, step: int | None = None) -> tuple[int, ...]:
    """Count the channels gone at each level: widths that are kept are multiples of ``step``, down to none.

    Args:
        width: channels of the MLP.
        step: channels from one width to the next; None for the largest power of two up to 256 that goes into the
            width 16 times or more.

    Raises:
        EvopError: a step that leaves no width between all and none.

    Example:
        >>> width_ladder(512)
        (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 480, 512)
        >>> width_ladder(11008)[:3], len(width_ladder(11008))
        ((0, 256, 1024), 16)
    """
    if step is None:
        step = LARGEST_STEP
        while step > 1 and width < MOST_WIDTHS * step:
            step //= 2
    if not 0 < step < width:
        raise EvopError(f"--width-step {step}: must lie between 1 and the MLP's width {width}, itself not included")
    # Widths lie so many steps apart that no more than MOST_WIDTHS of them are left.
    apart = step * (1 + (width - 1) // (step * MOST_WIDTHS))
    kept = range((width - 1) // apart * apart, -1, -apart)
    return (0, *(width - stays for stays in kept))


def head_ladder(config: Any, groups: int, *, stock: bool) -> tuple[int, ...]:
    """Count the key/value groups gone at each level; under ``stock`` only counts that the model's config accepts."""
    counts = [n for n in range(groups) if n == 0 or not stock or stock_head_count(config, groups - n, groups)]
    return (*counts, groups)


def stock_head_count(config: Any, groups: int, all_groups: int) -> bool:
    """Tell whether a stock model may have so many key/value groups, of all it had, with heads as wide as before.

    Its config needs a ``head_dim`` of its own; some architectures also want the heads to divide the hidden size.
    """
    from huggingface_hub.errors import StrictDataclassError

    content = config.to_dict()
    if getattr(config, "head_dim", None) is None:
        return False
    content["num_attention_heads"] = config.num_attention_heads * groups // all_groups
    content["num_key_value_heads"] = groups
    try:
        type(config).from_dict(content)
    except (StrictDataclassError, ValueError):
        return False
    return True

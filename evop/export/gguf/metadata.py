"""The numbers that a GGUF file says of its model: sizes, heads, positions, windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calibration.visible import visible_name
from evop.errors import EvopError
from evop.export.gguf.architecture import Architecture
from evop.export.gguf.rope import rope_of
from evop.export.gguf.tensors import filled, head_size
from evop.export.source import Source

if TYPE_CHECKING:
    from gguf import GGUFWriter

PERIOD = 2
"""Every so many layers of a Gemma 2 llama.cpp has one of full attention, the others look back through a window."""


def add_metadata(writer: GGUFWriter, source: Source, architecture: Architecture) -> None:
    """Write what the file says of the model.

    Raises:
        EvopError: something that the architecture of llama.cpp cannot be told.
    """
    config, shapes = source.resolved, [filled(s, architecture, i) for i, s in enumerate(source.layers)]
    even = len(set(shapes)) == 1
    writer.add_name(visible_name(source.checkpoint.name))
    writer.add_block_count(len(shapes))
    writer.add_context_length(context_of(source, architecture))
    writer.add_embedding_length(config.hidden_size)
    writer.add_vocab_size(config.vocab_size)
    writer.add_feed_forward_length(shapes[0].width if even else [shape.width for shape in shapes])
    writer.add_head_count(shapes[0].heads if even else [shape.heads for shape in shapes])
    writer.add_head_count_kv(shapes[0].groups if even else [shape.groups for shape in shapes])
    writer.add_key_length(head_size(source))
    writer.add_value_length(head_size(source))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_positions(writer, source, architecture)
    if architecture.windowed:
        _add_windows(writer, source)


def context_of(source: Source, architecture: Architecture) -> int:
    """Count the positions that the file promises: within the window where llama.cpp knows of none here."""
    config = source.resolved
    length = int(config.max_position_embeddings)
    windows = [source.family.window(config, layer) for layer in range(len(source.layers))]
    seen = [window for window in windows if window is not None]
    return min(length, *seen) if seen and not architecture.windowed else length


def _add_positions(writer: GGUFWriter, source: Source, architecture: Architecture) -> None:
    config = source.resolved
    rope = rope_of(config)
    if architecture.name == "openelm" and rope["rope_type"] != "default":
        raise EvopError(
            f"--format gguf: layers that differ run as llama.cpp's openelm, which knows no rope_type "
            f"{rope['rope_type']}; search with --deploy stock, or write --format hf"
        )
    writer.add_rope_dimension_count(int(head_size(source) * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        from gguf import RopeScalingType

        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _add_windows(writer: GGUFWriter, source: Source) -> None:
    """Write what Gemma has beside a Llama: windows in turn, bounded logits, the scale of attention."""
    config: Any = source.resolved
    kinds = ("sliding_attention", "full_attention")
    if list(config.layer_types) != [kinds[i % PERIOD] for i in range(len(source.layers))]:
        raise EvopError(
            f"--format gguf: llama.cpp has full attention in every second layer of {source.base_type}, and the pattern "
            "leaves another order; remove an even number of neighbours, or write --format hf"
        )
    if config.query_pre_attn_scalar != head_size(source):
        raise EvopError(
            f"--format gguf: query_pre_attn_scalar is {config.query_pre_attn_scalar}, and llama.cpp takes the head "
            f"size, {head_size(source)}, for a model of this size"
        )
    writer.add_sliding_window(config.sliding_window)
    for name, add in (
        ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
        ("final_logit_softcapping", writer.add_final_logit_softcapping),
    ):
        if getattr(config, name, None) is not None:
            add(getattr(config, name))

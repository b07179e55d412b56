"""The config of a model whose blocks differ, as vLLM, SGLang and others read it; travels with its weights."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig


class BlockConfig(dict):
    """What one layer holds; keys are read as attributes too."""

    def __getattr__(self, name: str) -> Any:
        """Read a key."""
        try:
            value = self[name]
        except KeyError as error:
            raise AttributeError(name) from error
        return BlockConfig(value) if isinstance(value, dict) else value


class DeciLMConfig(LlamaConfig):
    """A Llama's config, and one entry a layer: its attention and its MLP."""

    model_type = "nemotron-nas"

    def __init__(self, block_configs: list[dict[str, Any]] | None = None, **given: Any) -> None:
        """Take ``block_configs``, one a layer, and what a Llama's config takes."""
        super().__init__(**given)
        self.block_configs = [BlockConfig(block) for block in block_configs or []]

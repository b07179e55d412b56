"""A causal language model as it lies on the disk: config, tensor shapes, fingerprint; refusals."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evop.errors import EvopError, first_line
from evop.model.weight_files import json_object, safetensors_header, weight_files

SAMPLE = 1 << 12
"""Bytes read at the start and at the end of every tensor for the fingerprint."""
BUFFERS = re.compile(r"(\.|^)((attn|attention)\.(bias|masked_bias)|rotary_emb\.inv_freq)$")
"""Tensors that older checkpoints hold and that are no parameters: causal masks, frequencies of the positions."""
TABLES = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
"""How the names of the token embeddings end."""
HEADS = ("lm_head.weight", "embed_out.weight")
"""Names of the output head, where it is stored."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""What configs call the number of experts of a layer; other keys about them begin with ``moe_``."""
EXPERT_TYPES = ("mixtral", "dbrx", "deepseek_v2", "deepseek_v3", "gpt_oss", "jamba", "llama4", "llama4_text")
"""Architectures with experts whose name does not say so, as ``moe`` would."""
TEMPLATES = "additional_chat_templates"
"""The one folder inside a model's that transformers reads too."""
FETCHED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "*.py", "README.md", "LICENSE*", "NOTICE*"]
"""Files of a hub model that are fetched; pickled weights are not."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint: its shape, safetensors dtype (``F16``, ``BF16``, …) and the shard it lies in."""

    shape: tuple[int, ...]
    dtype: str
    shard: str
    nbytes: int

    @property
    def numel(self) -> int:
        """Number of elements."""
        numel = 1
        for side in self.shape:
            numel *= side
        return numel


@dataclass(frozen=True)
class Checkpoint:
    """A local Hugging Face folder of a causal language model.

    Attributes:
        folder: the folder.
        name: what the user called the model: the path, or the hub name.
        revision: commit of a hub model; None for a folder.
    """

    folder: Path
    name: str
    revision: str | None = None

    @classmethod
    def find(cls, model: str | Path, revision: str | None = None) -> Checkpoint:
        """Open a local folder as it is, a hub name from the cache or the hub.

        Raises:
            EvopError: nothing there, or nothing evop can prune (quantised, an adapter, a multimodal wrapper).
        """
        folder = Path(model).expanduser()
        if folder.is_dir():
            if revision:
                raise EvopError(
                    f"--revision {revision} is for hub models, but --model {model} is a folder; leave it out"
                )
            checkpoint = cls(folder, str(model))
        elif folder.exists() or str(model).startswith((".", "/", "~")) or str(model).count("/") > 1:
            raise EvopError(f"--model {model}: no such folder; expected a Hugging Face model folder or a hub name")
        else:
            checkpoint = cls(*_from_hub(str(model), revision))
        checkpoint._refuse_what_cannot_be_pruned()
        return checkpoint

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json`` as written."""
        path = self.folder / "config.json"
        if not path.is_file():
            raise EvopError(f"{self.name} is not a model: config.json is missing; expected a Hugging Face model folder")
        return json_object(path)

    @cached_property
    def resolved(self) -> Any:
        """The config as transformers reads it, defaults and derived values filled in."""
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.folder)
        except Exception as error:  # whatever the checks of the architecture's own config raise
            raise EvopError(
                f"{self.name}: transformers cannot read config.json ({first_line(error)}); mend that value in it"
            ) from error

    def key(self, name: str) -> str:
        """Find the key under which ``config.json`` holds what transformers calls ``name``, such as ``n_layer``."""
        own = self.resolved.attribute_map.get(name, name)
        return name if name in self.config and own not in self.config else own

    @property
    def model_type(self) -> str:
        """Name of the architecture in ``config.json``."""
        return str(self.config.get("model_type", "?"))

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """File names of the safetensors shards, in order."""
        return weight_files(self.folder, self.name)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every parameter tensor by name, read from the shards' headers alone; stored buffers are left out."""
        found: dict[str, Tensor] = {}
        for name, tensor in (each for shard in self.shards for each in self._header(shard)):
            if name in found:
                raise EvopError(
                    f"{self.name}: weight {name} lies in {found[name].shard} and {tensor.shard}; copy the model again"
                )
            found[name] = tensor
        return {name: tensor for name, tensor in found.items() if not BUFFERS.search(name)}

    @property
    def words(self) -> int | None:
        """Number of tokens that the model has embeddings for; None where no weight is called so."""
        return next((found.shape[0] for name, found in self.tensors.items() if name.endswith(TABLES)), None)

    @cached_property
    def parameters(self) -> int:
        """Number of parameters of the model; an output head tied to the embeddings is counted once."""
        stored = sum(tensor.numel for tensor in self.tensors.values())
        tied = self.resolved.tie_word_embeddings and any(name.endswith(TABLES) for name in self.tensors)
        return stored - sum(self.tensors[name].numel for name in HEADS if tied and name in self.tensors)

    @property
    def weight_file_bytes(self) -> int:
        """Bytes of the weight files on the disk."""
        return sum((self.folder / shard).stat().st_size for shard in self.shards)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over config, tensor names and shapes, and samples of every tensor.

        It tells apart two fine-tunings of one model without reading all of their bytes.
        """
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for shard in self.shards:
            path = self.folder / shard
            start, header = safetensors_header(path)
            digest.update(json.dumps(header, sort_keys=True).encode())
            with path.open("rb") as file:
                for entry in (entry for name, entry in header.items() if name != "__metadata__"):
                    begin, end = entry["data_offsets"]
                    for offset in (begin, max(begin, end - SAMPLE)):
                        file.seek(start + offset)
                        digest.update(file.read(min(SAMPLE, end - begin)))
        return digest.hexdigest()

    def _header(self, shard: str) -> Iterator[tuple[str, Tensor]]:
        """Yield name and description of every tensor of a shard."""
        _, header = safetensors_header(self.folder / shard)
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                yield name, Tensor(tuple(entry["shape"]), entry["dtype"], shard, end - begin)

    def _refuse_what_cannot_be_pruned(self) -> None:
        listed = (path for place in (".", TEMPLATES) for path in sorted((self.folder / place).glob("*")))
        odd = next((path for path in listed if path.exists() and not (path.is_file() or path.is_dir())), None)
        if odd is not None:
            raise EvopError(f"{odd} is a pipe, a socket or a device, and transformers would wait for it; take it away")
        if (self.folder / "adapter_config.json").exists():  # transformers would load the base model that it names
            raise EvopError(f"{self.name} is an adapter, not a model; merge it into its base model first")
        if quantised := self.config.get("quantization_config"):
            method = quantised.get("quant_method", "?") if isinstance(quantised, dict) else quantised
            raise EvopError(f"{self.name} is quantised ({method}); prune the full-precision model, then quantise")
        if any(self.config.get(key) is not None for key in ("text_config", "vision_config")):
            raise EvopError(f"{self.name} is a multimodal wrapper ({self.model_type}); give its language model alone")
        if self._has_experts:
            raise EvopError(
                f"{self.name} is a mixture of experts ({self.model_type}); evop prunes dense models, whose every token "
                "passes every weight; give a dense one"
            )

    @property
    def _has_experts(self) -> bool:
        counts = (self.config.get(key) for key in EXPERTS)
        named = any(value for key, value in self.config.items() if key.startswith("moe_"))
        several = any(count for count in counts if count not in (0, 1))
        return named or several or "moe" in self.model_type or self.model_type in EXPERT_TYPES


def _from_hub(name: str, revision: str | None) -> tuple[Path, str, str]:
    """Fetch a model from the hub, or find it in the cache: its folder, its name, its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=FETCHED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EvopError(
            f"--model {name}: neither a folder here nor a model the hub gives ({first_line(error)})"
        ) from error
    return folder, name, folder.name

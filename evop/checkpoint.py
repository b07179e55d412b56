"""A causal language model as it lies on the disk: config, tensor shapes, fingerprint; refusals."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evop.errors import EvopError

SAMPLE = 1 << 20
"""Bytes read at the start, the middle and the end of a shard's weights for the fingerprint."""
WANTED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "*.py", "README.md", "LICENSE*", "NOTICE*"]


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
        folder: where it lies.
        name: what the user called it: the path, or the hub name.
        revision: commit of a hub model, or None.
    """

    folder: Path
    name: str
    revision: str | None = None

    @classmethod
    def find(cls, model: str | Path, revision: str | None = None) -> Checkpoint:
        """A local folder as it is, a hub name from the cache or the hub.

        Raises:
            EvopError: nothing there, or nothing evop can prune (quantised, an adapter, a multimodal wrapper).
        """
        folder = Path(model).expanduser()
        if folder.is_dir():
            found = cls(folder, str(model), revision)
        elif folder.exists() or str(model).startswith((".", "/", "~")) or str(model).count("/") > 1:
            raise EvopError(f"--model {model}: no such folder; expected a Hugging Face model folder or a hub name")
        else:
            found = cls(*_from_hub(str(model), revision))
        found._refuse_what_cannot_be_pruned()
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json`` as written."""
        path = self.folder / "config.json"
        if not path.is_file():
            raise EvopError(f"{self.name} is not a model: config.json is missing; expected a Hugging Face model folder")
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise EvopError(f"{path} is not JSON ({error}); copy the model again") from error

    @cached_property
    def resolved(self) -> Any:
        """The config as transformers reads it, defaults and derived values filled in."""
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.folder)

    @property
    def model_type(self) -> str:
        """The architecture's name in ``config.json``."""
        return str(self.config.get("model_type", "?"))

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """File names of the safetensors shards, in order."""
        index = self.folder / "model.safetensors.index.json"
        if index.is_file():
            return tuple(sorted(set(json.loads(index.read_text())["weight_map"].values())))
        names = tuple(sorted(path.name for path in self.folder.glob("*.safetensors")))
        if not names:
            pickled = any(self.folder.glob("*.bin"))
            found = "only pickled weights (*.bin); convert them to safetensors first" if pickled else "no weights"
            raise EvopError(f"{self.name} holds {found}; expected *.safetensors beside config.json")
        return names

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, read from the shards' headers alone."""
        return {name: tensor for shard in self.shards for name, tensor in self._header(shard)}

    @cached_property
    def parameters(self) -> int:
        """Parameters of the model; an output head tied to the embeddings is counted once."""
        stored = sum(tensor.numel for tensor in self.tensors.values())
        twice = self.resolved.tie_word_embeddings and "lm_head.weight" in self.tensors and self._has_embeddings
        return stored - self.tensors["lm_head.weight"].numel if twice else stored

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over config, tensor names and shapes, and samples of every shard's weights.

        It tells apart two fine-tunings of one model without reading all of their bytes.
        """
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for shard in self.shards:
            path = self.folder / shard
            start, header = _safetensors_header(path)
            digest.update(json.dumps(header, sort_keys=True).encode())
            with path.open("rb") as file:
                size = path.stat().st_size
                for place in (start, (start + size) // 2, max(start, size - SAMPLE)):
                    file.seek(place)
                    digest.update(file.read(SAMPLE))
        return digest.hexdigest()

    @property
    def _has_embeddings(self) -> bool:
        return any(name.endswith("embed_tokens.weight") for name in self.tensors)

    def _header(self, shard: str) -> Iterator[tuple[str, Tensor]]:
        _, header = _safetensors_header(self.folder / shard)
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                yield name, Tensor(tuple(entry["shape"]), entry["dtype"], shard, end - begin)

    def _refuse_what_cannot_be_pruned(self) -> None:
        if (self.folder / "adapter_config.json").is_file() and not (self.folder / "config.json").is_file():
            raise EvopError(f"{self.name} is an adapter, not a model; merge it into its base model first")
        if "quantization_config" in self.config:
            method = self.config["quantization_config"].get("quant_method", "?")
            raise EvopError(f"{self.name} is quantised ({method}); prune the full-precision model, then quantise")
        if "text_config" in self.config or "vision_config" in self.config:
            raise EvopError(f"{self.name} is a multimodal wrapper ({self.model_type}); give its language model alone")


def _safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            return 8 + length, json.loads(file.read(length))
    except (OSError, ValueError, struct.error) as error:
        raise EvopError(f"{path} is not a safetensors file ({error}); copy the model again") from error


def _from_hub(name: str, revision: str | None) -> tuple[Path, str, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=WANTED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EvopError(f"--model {name}: neither a folder here nor a model the hub gives ({reason})") from error
    return folder, name, folder.name

"""One GGUF file, from a pruned model: planned first, then written tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evop.export.gguf.architecture import Architecture, architecture_of
from evop.export.gguf.ggml import bytes_of, library, refuse_no_quantiser
from evop.export.gguf.metadata import add_metadata, context_of
from evop.export.gguf.quantise import MIXES, mixed_types
from evop.export.gguf.tensors import GgufTensor, tensors_of
from evop.export.gguf.tokenizer import GgufTokenizer
from evop.export.gguf.types import FILE_TYPES, encoded, type_of
from evop.export.source import Source

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType


@dataclass(frozen=True)
class GgufPlan:
    """A file to be written.

    Attributes:
        source: the pruned model.
        architecture: which of llama.cpp's runs it.
        tensors: the tensors, in order.
        types: the type of each tensor, by its name.
        tokenizer: the model's.
        file_type: what the file calls itself.
    """

    source: Source
    architecture: Architecture
    tensors: tuple[GgufTensor, ...]
    types: Mapping[str, GGMLQuantizationType]
    tokenizer: GgufTokenizer
    file_type: str

    @classmethod
    def of(cls, source: Source, bits: str, quantise: str | None = None) -> GgufPlan:
        """Plan the file of a pruned model; nothing is written.

        Args:
            source: the pruned model.
            bits: one of ``BITS``.
            quantise: one of ``MIXES``, in place of ``bits``, or None.

        Raises:
            EvopError: a pattern or a tokenizer that llama.cpp cannot hold, with the reason.
        """
        library()
        architecture = architecture_of(source)
        tensors = tuple(tensors_of(source, architecture))
        shapes = {tensor.name: tensor.shape for tensor in tensors}
        types = {name: type_of(shape, bits) for name, shape in shapes.items()}
        if quantise is not None:
            refuse_no_quantiser()
            types = mixed_types(shapes, quantise)
        tokenizer = GgufTokenizer.of(source.checkpoint, int(source.resolved.vocab_size))
        file_type = FILE_TYPES[bits] if quantise is None else MIXES[quantise].file
        return cls(source, architecture, tensors, types, tokenizer, file_type)

    @property
    def bytes(self) -> int:
        """Bytes of the tensors."""
        return sum(bytes_of(tensor.shape, self.types[tensor.name]) for tensor in self.tensors)

    @property
    def context(self) -> int:
        """Positions that the file promises."""
        return context_of(self.source, self.architecture)

    def write(self, path: Path) -> None:
        """Write the file, one tensor in memory at a time.

        Raises:
            EvopError: numbers or facts that the format cannot hold.
            OSError: the disk is full or refuses.
        """
        gguf = library()
        writer = gguf.GGUFWriter(path, self.architecture.name)
        try:
            writer.add_file_type(gguf.LlamaFileType[self.file_type])
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            add_metadata(writer, self.source, self.architecture)
            self.tokenizer.add_to(writer)
            for tensor in self.tensors:
                kind = self.types[tensor.name]
                size = bytes_of(tensor.shape, kind)
                writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float16), size, raw_dtype=kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor in self.tensors:
                writer.write_tensor_data(encoded(tensor.make(), self.types[tensor.name], tensor.name))
        finally:
            writer.close()

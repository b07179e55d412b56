"""A Hugging Face folder in another format than evop's own: config, tokenizer, and weights, file by file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evop.export.companions import copy_companions
from evop.export.shards import shard_name, write_index, write_shard
from evop.files.json_file import write_json
from evop.files.names import CONFIG

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NewTensor:
    """One tensor to be written.

    Attributes:
        name: its name.
        nbytes: bytes that it takes.
        shard: the weight file of the model that it is made from; what comes from one goes into one.
        make: makes it, in the dtype that it is stored in.
    """

    name: str
    nbytes: int
    shard: str
    make: Callable[[], torch.Tensor]


def write_folder(folder: Path, like: Path, config: dict[str, Any], tensors: Iterable[NewTensor]) -> None:
    """Write a model into an empty folder, one weight file in memory at a time.

    Args:
        folder: the empty folder.
        like: the folder whose tokenizer, templates and licence go along.
        config: the model's ``config.json``.
        tensors: the model's tensors.

    Raises:
        OSError: the disk is full or refuses.
    """
    copy_companions(like, folder)
    write_json(folder / CONFIG, config)
    shards: dict[str, list[NewTensor]] = defaultdict(list)
    for tensor in tensors:
        shards[tensor.shard].append(tensor)
    places: dict[str, str] = {}
    for number, kept in enumerate(shards.values(), 1):
        name = shard_name(number, len(shards))
        made = {tensor.name: tensor.make().contiguous() for tensor in kept}
        write_shard(made, folder / name)
        places |= dict.fromkeys(made, name)
    if len(shards) > 1:
        write_index(places, sum(tensor.nbytes for kept in shards.values() for tensor in kept), folder)

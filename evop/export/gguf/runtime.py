"""llama.cpp itself, in this process: what a GGUF file predicts, writes, and how fast.

llama.cpp ends the process where a file breaks its rules, so an unknown file is run in another process.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evop.errors import EvopError

SURE = 1e9
"""What is added to the logit of a token that must come next; log-probabilities are told before it is added."""

EVERY = 1 << 20
"""More tokens than any vocabulary has."""


class LlamaCpp:
    """A GGUF file, loaded.

    Args:
        path: the file.
        context: positions at most.
        threads: threads to compute with.

    Raises:
        EvopError: xllamacpp is not installed, or llama.cpp cannot load the file.
    """

    def __init__(self, path: Path, context: int = 512, threads: int = 1) -> None:
        try:
            import xllamacpp
        except ImportError as error:
            raise EvopError("llama.cpp is not installed; pip install 'evop[gguf]'") from error
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = context, 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.verbosity, parameters.warmup = -1, False
        parameters.n_gpu_layers = 0
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise EvopError(f"{path}: llama.cpp cannot load it ({error})") from error

    def next_logprobs(self, ids: Sequence[int], best: int) -> dict[int, float]:
        """Find the likeliest next tokens and their log-probabilities, in nats."""
        told = self._one(ids, logprobs=best, logit_bias=[[self._plain, SURE]])
        assert told is not None, "a plain letter was not written"
        return {one["id"]: one["logprob"] for one in told["top_logprobs"]}

    def losses(self, ids: Sequence[int]) -> np.ndarray:
        """Measure what each token costs after those before it, nats, float64 [tokens - 1]."""
        found = []
        for place in range(1, len(ids)):
            token = int(ids[place])
            told = self._one(ids[:place], logprobs=1, logit_bias=[[token, SURE]])
            if told is not None and told["id"] == token:
                found.append(-told["logprob"])
            else:  # of the end of a text, and of half a letter, llama.cpp tells nothing
                found.append(-self.next_logprobs(ids[:place], EVERY)[token])
        return np.array(found)

    def continued(self, ids: Sequence[int], tokens: int) -> list[int]:
        """Write some tokens on, the likeliest each time."""
        choice = self._asked(ids, tokens, logprobs=1)
        return [one["id"] for one in choice["logprobs"]["content"]]

    def tokenized(self, text: str) -> list[int]:
        """Turn text into token ids, with the beginning of a sequence where the file says so."""
        request = urllib.request.Request(
            f"{self._server.listening_address}/tokenize",
            json.dumps({"content": text, "add_special": True, "parse_special": True}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["tokens"]

    def answer(self, question: str, tokens: int) -> str:
        """Answer as the file's chat template has it, the likeliest token each time."""
        asked = {"messages": [{"role": "user", "content": question}], "max_tokens": tokens, "temperature": 0.0}
        return str(self._server.handle_chat_completions(asked)["choices"][0]["message"]["content"])

    def speed(self, ids: Sequence[int], tokens: int) -> tuple[float, float]:
        """Time the reading of some ids and the writing of some tokens after: tokens per second of each."""
        told = self._complete(ids, tokens, cache_prompt=False)["timings"]
        return told["prompt_per_second"], told["predicted_per_second"]

    @cached_property
    def _plain(self) -> int:
        """A token that is a whole letter, so that llama.cpp tells what it knows when it has written it."""
        return self.tokenized("a")[-1]

    def _one(self, ids: Sequence[int], **options: Any) -> dict[str, Any] | None:
        told = self._asked(ids, 1, **options)["logprobs"]
        return None if told is None else told["content"][0]

    def _asked(self, ids: Sequence[int], tokens: int, **options: Any) -> dict[str, Any]:
        return self._complete(ids, tokens, **options)["choices"][0]

    def _complete(self, ids: Sequence[int], tokens: int, **options: Any) -> dict[str, Any]:
        asked = {"prompt": [int(one) for one in ids], "max_tokens": tokens, "temperature": 0.0, "ignore_eos": True}
        asked |= options
        told = self._server.handle_completions(asked)
        if "choices" not in told:
            raise EvopError(f"llama.cpp refused: {told.get('error', {}).get('message', told)}")
        return told

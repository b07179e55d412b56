"""``evop export``: a pruned model in the format of a runtime or of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evop.cli.app import quiet, say
from evop.cli.options import Model
from evop.cli.recipe_options import options_of
from evop.recipes.export import ExportRecipe


@options_of(ExportRecipe)
def export(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Where to write: a file for gguf and mergekit, else a folder.")],
    pattern: Annotated[
        Path | None,
        typer.Option(
            "--pattern",
            help="A pattern file, a search run, a refit, a drop list (.txt) or a pruned checkpoint; the dense model "
            "where left out.",
        ),
    ] = None,
    **options: Any,
) -> None:
    """Write a pruned model for llama.cpp, vLLM or mergekit, and check what can be checked here."""
    ExportRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.stages.export import export as run_export

    quiet()
    run_export(model, out, pattern, report=say, **options)

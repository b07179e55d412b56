"""``evop metric``: a model and a calibration set in, a metric out."""

from __future__ import annotations

from typing import Any

from evop.cli.app import console, quiet, say
from evop.cli.options import Model, Out, SetFolder, Wait
from evop.cli.recipe_options import options_of
from evop.recipes.metric import MetricRecipe


@options_of(MetricRecipe)
def metric(model: Model, calibration: SetFolder, out: Out, wait: Wait = False, **options: Any) -> None:
    """Search the metric by which heads and channels leave; run the same command again to go on."""
    MetricRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.console.watching import watching
    from evop.stages.metric import search_metric

    quiet()
    with watching(console) as watch:
        found = search_metric(model, calibration, out, watch=watch, report=say, wait=wait, **options)
    say(
        f"{found.asked} metrics asked for, {found.evaluations} of them measured, {found.failed} without a value; "
        f"{found.tokens['total']:,} tokens; stopped by: {found.stopped}"
    )
    for finalist in found.finalists:
        say(
            f"{finalist.search:.4f} on search, {finalist.select:.4f} on select, {finalist.pooled:.4f} on both: "
            f"{finalist.metric}"
        )
    say(f"metric: {found.metric}")
    for shares in found.layers:
        say(
            f"{shares.search:.4f} on search, {shares.select:.4f} on select, {shares.pooled:.4f} on both: "
            f"--remove {','.join(f'{share:g}' for share in shares.shares)}"
        )
    command = f"evop search --model {model} --calibration {calibration} --grain {found.grain}"
    if found.sparsity:
        how = "sparsity" if ":" in found.sparsity else "remove"
        command = f"evop prune --model {model} --calibration {calibration} --grain weight --{how} {found.sparsity}"
    say(f"{command} --importance {out}")

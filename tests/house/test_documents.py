"""What the documents say is there, is there."""

import re
from pathlib import Path

import pytest

import evop

ROOT = Path(evop.__file__).resolve().parent.parent
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(
        "docs/rivals.md",
        "docs/latency.md",
        "docs/performance.md",
        "docs/negative-results.md",
        "docs/tasks.md",
        "docs/accuracy.md",
    ),
)


def text(name):
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", text(name)):
        if not target.startswith("http"):
            assert ((ROOT / name).parent / target).exists(), target


def test_every_command_and_option_of_the_readme_exists():
    import typer.main

    from evop.cli import app

    commands = typer.main.get_command(app).commands
    for line in re.sub(r"\\\n", " ", text("README.md")).splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["evop"] and len(words) > 1 and words[1] in commands:
            options = {option for parameter in commands[words[1]].params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, line
    assert set(commands) == {"demo", "calibrate", "show", "search", "audit", "prune", "speed", "run", "compare"}


def test_the_help_and_the_recipe_name_every_sampler():
    import typer.main

    from calibration import SAMPLERS, Recipe
    from evop.cli import app

    options = typer.main.get_command(app).commands["calibrate"].params
    (said,) = [option.help for option in options if "--sampler" in option.opts]
    assert set(SAMPLERS) == set(re.findall(r"\w+", said)) - {"or"}
    assert all(f"``{name}``" in Recipe.__doc__ for name in SAMPLERS)


def test_the_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", text("README.md"), re.MULTILINE)) <= targets
    assert "make test" in text(".ci/run")


RESULTS = {
    "README.md": ["rivals-main", "time-to-quality"],
    "docs/rivals.md": [
        "rivals-grains",
        "rivals-importance",
        "stories260K-main",
        "stories260K-grains",
        "bitllama-3M-main",
        "bitllama-3M-grains",
    ],
    "docs/latency.md": ["latency"],
    "docs/accuracy.md": ["accuracy"],
    "docs/performance.md": [
        "evaluator",
        "optimum-layer-3",
        "optimum-layer-4",
        "optimum-subblock-stock",
        "optimum-subblock-any",
        "optimum-channel-any",
        "optimum-mixed-any",
        "time-to-quality",
        "set-or-search",
    ],
}


@pytest.mark.parametrize(("document", "name"), [(document, name) for document in RESULTS for name in RESULTS[document]])
def test_the_tables_of_the_documents_are_those_of_the_benchmark(document, name):
    assert text(f"benchmarks/results/{name}.md").strip() in text(document)


def test_one_version():
    assert f'version = "{evop.__version__}"' in text("pyproject.toml")


def test_supported_architectures_are_named():
    from evop.model.families import FAMILIES

    readme = text("README.md").lower()
    for family in FAMILIES:
        assert all(f"`{name}`" in readme for name in family.model_types)

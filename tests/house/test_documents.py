"""What the documents say is there, is there."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
import typer.main
import yaml
from plan_of_the_house import FILES

import evop
from evop.cli import app
from evop.model.families import FAMILIES
from evop.model.families.family import GRAINS, always
from evop.recipes.audit import AuditRecipe
from evop.recipes.run import RunRecipe
from evop.recipes.search import SearchRecipe

ROOT = Path(evop.__file__).resolve().parent.parent
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
LONGEST_README = 150
COMMANDS = typer.main.get_command(app).commands
PATH = re.compile(r"^(?:evop|calibration|patterns|tests|benchmarks|docs|notebooks)/[\w./-]*\w/?$")
MODULE = re.compile(r"^(?:evop|calibration|patterns)(?:\.\w+)+$")


def text(name):
    return (ROOT / name).read_text()


def plain(name):
    """A document without its line breaks."""
    return " ".join(text(name).split())


def blocks(content):
    """The language and the content of every block of code."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)


def spans(content):
    """What stands between backticks in running text."""
    prose = re.sub(r"^```.*?^```$", "", content, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def lines_of_code(content):
    """Every line that somebody could type: those of blocks, joined where they go on, and those in running text."""
    typed = [line for _, block in blocks(content) for line in block.replace("\\\n", " ").splitlines()]
    return [line.partition("#")[0].strip() for line in typed] + spans(content)


def options_of(command):
    """The options of a command, the negative ones included."""
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def unknown(line):
    """What a line of code names that is not there: a command, an option, a script, a target of make."""
    words = line.split()
    given = {word.split("=")[0] for word in words if re.match(r"--\w", word)}
    if words[:1] == ["evop"] and len(words) > 1:
        if words[1] not in COMMANDS:
            return {words[1]} - set(options_of(typer.main.get_command(app)))
        return given - options_of(COMMANDS[words[1]]) - {"--help"}
    if script := next((word for word in words if word.startswith("benchmarks/") and word.endswith(".py")), None):
        code = text(script) if (ROOT / script).is_file() else ""
        return {option for option in given if f'"{option}"' not in code} if code else {script}
    if words[:1] == ["make"] and len(words) == 2:
        return {words[1]} - set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE))
    if words and words[0].startswith("--"):
        return given - {"--help"} - set().union(*map(options_of, COMMANDS.values()))
    return set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text(name)):
        if not target.startswith("http"):
            place = (ROOT / name).parent / target if target else ROOT / name
            assert place.exists(), target
            heads = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_and_option_exists(name):
    assert not {line: unknown(line) for line in lines_of_code(text(name)) if unknown(line)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_and_module_exists(name):
    for span in spans(text(name)):
        path = span.partition(": ")[0]
        assert not PATH.match(path) or (ROOT / path).exists(), span
        if MODULE.match(span) and not span.endswith((".py", ".md")):
            assert span in FILES or attribute(span) is not None, span


def attribute(dotted):
    """What a dotted name of the house leads to."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


def test_the_test_sees_what_is_not_there():
    assert unknown("evop search --model x --no-bounds --depth 3") == {"--depth"}
    assert unknown("evop dream --out x") == {"dream"}
    assert unknown("evop --version") == set()
    assert unknown("python benchmarks/rivals.py --seed 0 --colour red") == {"--colour"}
    assert unknown("python benchmarks/nothing.py") == {"benchmarks/nothing.py"}
    assert unknown("make tea") == {"tea"}
    assert unknown("--engine ray --workers N") == set()
    assert unknown("--moon") == {"--moon"}
    assert lines_of_code("a `--one\ntwo` b\n\n```\nevop x \\\n  --y  # why\n```\n") == ["evop x    --y", "--one two"]
    assert unsuited("search(m, c, o, remove=0.1, depth=3)") == {"depth"}


def test_the_commands():
    assert set(COMMANDS) == {
        *("demo", "calibrate", "show", "metric", "search", "refit", "audit", "prune", "heal", "export", "speed", "run"),
        "compare",
    }
    assert "make test" in text(".ci/run")
    assert set(COMMANDS) <= set(re.findall(r"\bevop (\w+)", text("docs/guide.md")))


def unsuited(code):
    """Keywords of calls of evop's functions that these do not take; names that evop does not have."""
    taken = {"search": SearchRecipe.model_fields, "audit": AuditRecipe.model_fields}
    wrong = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            wrong |= {alias.name for alias in node.names if attribute(f"{node.module}.{alias.name}") is None}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in evop.__all__:
            takes = {*inspect.signature(getattr(evop, node.func.id)).parameters, *taken.get(node.func.id, ())}
            wrong |= {keyword.arg for keyword in node.keywords} - takes
    return wrong


@pytest.mark.parametrize("name", DOCUMENTS)
def test_recipes_and_python_are_what_evop_takes(name):
    for language, block in blocks(text(name)):
        if language == "yaml":
            RunRecipe.of(**yaml.safe_load(block))
        if language == "python":
            assert not unsuited(block)


def test_the_readme_is_short_and_shows_one_picture():
    assert len(text("README.md").splitlines()) <= LONGEST_README
    assert text("README.md").count("![") == 1


def test_the_index_names_every_document():
    links = set(re.findall(r"\]\(([^)#]+)\)", text("docs/README.md")))
    assert {f"{path.name}" for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= links
    assert {f"../notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= links


RESULTS = {
    "README.md": ["rivals-main", "smollm2"],
    "docs/rivals.md": [
        "rivals-grains",
        "rivals-importance",
        "compensation",
        "one-ranking",
        "stories260K-main",
        "stories260K-grains",
        "bitllama-3M-main",
        "bitllama-3M-grains",
    ],
    "docs/peers.md": ["peers", "peers-gaps"],
    "docs/objectives.md": ["objectives"],
    "docs/metrics-compared.md": ["metrics", "metrics-smollm2"],
    "docs/exports.md": ["exports"],
    "docs/recovery.md": ["recovery", "recovery-nll", "recovery-kl", "recovery-both", "training-aware", "massive"],
    "docs/calibration.md": ["copies", "clusters"],
    "docs/latency.md": ["latency"],
    "docs/reliability.md": ["reliability-stages", "reliability-files", "reliability-readers"],
    "docs/negative-results.md": ["arms-model", "arms-sensitivities"],
    "docs/accuracy.md": ["accuracy"],
    "docs/audit.md": ["coverage", "coverage-domains"],
    "docs/held-out.md": ["held-out"],
    "docs/tolerances.md": ["tolerances"],
    "docs/performance.md": [
        "evaluator",
        "evaluator-model",
        "few-evaluations",
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


def test_every_table_of_the_benchmarks_stands_in_a_document():
    stands = {name for names in RESULTS.values() for name in names}
    assert {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.md")} == stands


def test_the_help_names_every_sampler():
    from calibration import SAMPLERS

    (help_text,) = [option.help for option in COMMANDS["calibrate"].params if "--sampler" in option.opts]
    assert set(SAMPLERS) <= set(re.findall(r"\w+", help_text))
    assert set(SAMPLERS) == firsts("docs/guide.md", "--sampler")


def firsts(document, head):
    """The names in the first column of a table, by what stands over that column."""
    table = text(document).split(f"| `{head}` |", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE))


def test_the_guide_names_every_strategy_grain_metric_objective_and_loss():
    from evop.importance import IMPORTANCES
    from evop.losses import ITEM_METERS, METERS
    from evop.losses.objectives import OBJECTIVES
    from evop.metrics.methods import METHODS
    from patterns import STRATEGIES

    guide = text("docs/guide.md")
    assert firsts("docs/guide.md", "--strategy") == {*STRATEGIES, "auto"}
    assert firsts("docs/guide.md", "--grain") == set(GRAINS)
    assert firsts("docs/metrics.md", "--method") == set(METHODS)
    for name in (*OBJECTIVES, *METERS, *ITEM_METERS, *IMPORTANCES):
        assert re.search(rf"`(?:--\w+ )?{name}`", guide), name


def test_one_version():
    assert f'version = "{evop.__version__}"' in text("pyproject.toml")


def test_supported_architectures_are_named_with_what_they_cannot_lose():
    rows = {
        cells[1]: [cell.strip() for cell in cells[3:-1]]
        for cells in (line.split("|") for line in text("docs/models.md").splitlines() if "| yes |" in line)
    }
    heads = re.findall(r"`(\w+)` (?=\|)", text("docs/models.md").split("\n|---")[0])[-len(GRAINS) :]
    assert heads == list(GRAINS)
    for family in FAMILIES:
        refused = {grain for refusal in family.refusals if refusal.when is always for grain in refusal.grains}
        for name in family.model_types:
            assert f"`{name}`" in text("README.md")
            (row,) = [cells for types, cells in rows.items() if f"`{name}`" in types]
            assert row == ["no" if grain in refused else "yes" for grain in GRAINS]
        for refusal in family.refusals:
            assert refusal.reason.split(";")[0] in plain("docs/models.md")

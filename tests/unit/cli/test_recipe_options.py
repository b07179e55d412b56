"""Every field of a recipe is an option of its command, described once; there is no option without a field."""

import pytest
import typer.main
from typer.testing import CliRunner

from calibration import Recipe
from evop.cli import app
from evop.errors import EvopError
from evop.losses.loss import Loss
from evop.recipes.audit import AuditRecipe
from evop.recipes.search import SearchRecipe

COMMANDS = {"calibrate": Recipe, "search": SearchRecipe, "audit": AuditRecipe}
ITS_OWN = {"model", "calibration", "out", "pattern", "help", "domain", "task", "task_columns", "wait"}
"""What a command is asked for beside its recipe."""
IN_OTHER_WORDS = {"domains", "tasks", "continuations", "group_by"}
"""Fields that ``calibrate`` asks for in words of its own: sources by name."""


def options(name):
    return {option.name: option for option in typer.main.get_command(app).commands[name].params}


@pytest.mark.parametrize("name", COMMANDS)
def test_fields_and_options_are_the_same(name):
    # What is said of the audit to come, and of the files of other tools.
    beside = {"tolerate", "import_", "export"} if name == "calibrate" else set()
    own = ITS_OWN | IN_OTHER_WORDS | beside
    assert set(options(name)) - own == set(COMMANDS[name].model_fields) - IN_OTHER_WORDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_and_leaves_its_default_to_the_recipe(name):
    for field, description in COMMANDS[name].model_fields.items():
        if field in IN_OTHER_WORDS:
            continue
        option = options(name)[field]
        assert option.help == description.description, field
        assert option.help.endswith((".", "none")), field
        assert option.default is None, field


def test_a_beginner_sees_few():
    """What everybody needs stands first, in one block; the rest under its heading."""
    for name in COMMANDS:
        first = [option for option in options(name).values() if option.rich_help_panel is None]
        assert len(first) <= 15, name


@pytest.mark.parametrize(
    ("name", "words", "asked"),
    [
        ("search", ["--batch-size", "auto", "--no-bounds", "--protect", "none"], {"bounds": False, "protect": ()}),
        ("search", ["--loss", "kl+accuracy", "--profile"], {"profile": True, "loss": Loss.named("kl+accuracy")}),
        (
            "search",
            ["--hold-out-domain", "law,code", "--hold-out-domain", "math", "--hold-out-domain", "law"],
            {"hold_out_domain": ("law", "code", "math")},
        ),
        ("audit", ["--lm-eval", "arc_easy,boolq", "--no-needs"], {"lm_eval": ("arc_easy", "boolq"), "needs": False}),
    ],
)
def test_words_become_fields(name, words, asked):
    """What is typed reaches the recipe; what is not typed is the recipe's default."""
    command, recipe = typer.main.get_command(app).commands[name], COMMANDS[name]
    needed = [word for own in ("model", "calibration", "out", "pattern") if own in options(name) for word in (own, "x")]
    typed = [f"--{word}" if word != "x" else word for word in needed]
    values = command.make_context(name, [*typed, *words]).params
    given = {key: value for key, value in values.items() if key in recipe.model_fields and value is not None}
    assert recipe.of(**given) == recipe().model_copy(update=asked)


def test_an_argument_is_no_option():
    shown = CliRunner().invoke(app, ["compare", "--help"]).output
    assert shown.index("Arguments:") < shown.index("Options:")


@pytest.mark.parametrize("value", [0, -3.0, "many", 0.5])
def test_clusters_that_cannot_be(value):
    with pytest.raises(ValueError, match="expected auto or a number from 1 on"):
        Recipe(domains=[{"name": "a", "source": "b"}], clusters=value)


def test_words_that_say_nothing_ask_for_nothing():
    assert AuditRecipe.of(lm_eval="").lm_eval == ()


@pytest.mark.parametrize("loss", [5, {"name": "nll", "text": "nll", "items": None}])
def test_a_loss_is_a_name(loss):
    with pytest.raises(EvopError, match="option loss: expected a name, such as nll"):
        SearchRecipe.of(loss=loss)

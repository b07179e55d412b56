"""The matrix that the tests print: what is in it can be believed."""

from matrix import add, lines, new_cell


def test_every_cell_shows_what_its_test_found():
    held, half, wrong, failed, refused, bias = (
        new_cell("llama", "layer", "any"),
        new_cell("llama", "layer", "stock"),
        new_cell("llama", "mixed", "any"),
        new_cell("gpt2", "layer", "any"),
        new_cell("gpt2", "head", "stock"),
        new_cell("gpt2", "channel", "stock", "+bias"),
    )
    for cell in (held, bias):
        add(cell, patterns=1, difference=1e-5, ratio=2.4e-6, claimed=1000, gone=1000, generated=1, saved=1)
    add(held, patterns=1, difference=3e-5, ratio=1e-6, claimed=500, gone=500)
    add(half, patterns=1, difference=0.0, ratio=0.0, claimed=10, gone=10, generated=1)
    add(wrong, patterns=1, difference=2.0, ratio=0.5, claimed=7, gone=8, generated=1, saved=1)
    refused["refused"] = "it cannot; use --grain channel"
    cells = [(failed, False), *((cell, True) for cell in (bias, held, refused, half, wrong))]
    printed = lines(cells)
    words = [[word.strip() for word in line.split("  ") if word.strip()] for line in printed]
    assert ["layer", "layer", "head", "channel", "mixed", "removed"] in words
    assert ["any", "stock", "stock", "stock +bias", "any", "claimed"] in words
    assert ["llama", "+ 2e-6", "? 0", "? 5e-1", "1,517, BUT 1,518 GONE"] in words
    assert ["gpt2", "FAILED", "(a)", "+ 2e-6", "1,000 = gone"] in words
    assert "(a) it cannot; use --grain channel" in printed
    assert printed[-1].startswith("5 cells held, 1 refused; 5 checkpoints, 4 of them generated with a cache, 3 saved")
    assert printed[-1].endswith("largest difference of two logits 2.0e+00")
    assert lines(cells[::-1]) == printed  # in whatever order workers send them

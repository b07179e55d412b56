"""What a calibration set prints: a column of what may be learnt from only where there is some."""

import io

from sets import small_set

from calibration import describe
from evop.console.calibration_set import print_set
from evop.console.plain import PlainConsole


def printed(some):
    stream = io.StringIO()
    print_set(PlainConsole(file=stream, width=160), some)
    return stream.getvalue()


def test_a_set_to_learn_from_has_its_columns():
    some = small_set(train_tokens=900)
    lines = printed(some).splitlines()
    (head,) = [line for line in lines if "select" in line and "audit" in line]
    assert head.split()[-7:] == ["unseen", "train", "train", "tokens", "(est.)", "tokens", "(est.)"]
    for row in describe(some):
        (line,) = [line for line in lines if line.strip().startswith(f"{row['domain']}/{row['cluster']} ")]
        found = [str(row["train"]), f"{row['train_tokens']:,}"] if row["train"] else ["·", "·"]
        assert line.split()[-3:] == [*found, f"{row['tokens']:,}"]
    assert any(row["train"] for row in describe(some))


def test_a_set_without_says_nothing_of_it():
    assert "train" not in printed(small_set())

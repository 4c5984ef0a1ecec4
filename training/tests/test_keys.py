import subprocess
import sys
from pathlib import Path

import keys


def test_parts_that_are_read_apart_have_no_row_as_a_whole():
    for kind, token in [("Whole", "500mg"), ("Whole", "1.5"), ("Whole", "-40"), ("Number", "2400000"), ("Word", "x" * 25), ("Pair", "東京")]:
        assert not keys.may_have_a_row(kind, token), token
    for kind, token in [("Whole", "3rd"), ("Whole", "mp3"), ("Whole", "javascript"), ("Number", "2024"), ("Word", "cat")]:
        assert keys.may_have_a_row(kind, token), token


def test_symbols_have_names_and_come_once():
    names = dict(keys.named_symbols())
    assert names["😀"] == "grinning face"
    assert names["→"] == "arrow right"
    assert "\U0001f3fb" not in names


def test_the_most_frequent_tokens_are_chosen(tmp_path):
    counts = tmp_path / "counts.tsv"
    counts.write_text("9\tWord\tthe\n5\tWhole\t500mg\n4\tWord\tcat\n2\tWord\tdog\n7\tSymbol\t$\n")
    out = tmp_path / "keys.txt"
    named = len({**keys.CALLED, **dict(keys.named_symbols())})
    program = [sys.executable, str(Path(keys.__file__)), "--counts", str(counts), "--size", str(named + 2), "--out", str(out)]
    subprocess.run(program, check=True)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["the", "cat"]
    assert "$\tdollar" in lines
    assert len(lines) == named + 2

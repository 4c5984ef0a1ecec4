import random

import sections

PASSAGE = " ".join(["word"] * 50)


def sections_of(*lines):
    return list(sections.sections(list(lines)))


def test_a_section_is_all_passages_up_to_the_next_heading_under_its_nearest_headings():
    found = sections_of("Users", "Adding users", "How do I add users?", "Users Adding users", PASSAGE, "More on that, in short:", PASSAGE, "Groups", PASSAGE)
    assert found[0] == (["Adding users", "How do I add users?", "Users Adding users"], f"{PASSAGE} More on that, in short: {PASSAGE}")
    assert len(found) == 1, "the second begins as the first does"


def test_sentences_drawn_from_a_passage_are_not_read_twice():
    sentence = "This sentence comes again, since it was drawn."
    assert sections_of("Users", f"{PASSAGE} {sentence}", sentence, "Other words.") == [(["Users"], f"{PASSAGE} {sentence} Other words.")]


def test_a_heading_belongs_to_no_section_of_another_document():
    assert sections_of("Adding users", "", PASSAGE) == []


def test_a_section_is_cut_and_a_short_one_left_out():
    words = [f"word{number}" for number in range(400)]
    assert sections_of("Long", " ".join(words)) == [(["Long"], " ".join(words[: sections.MAX_SECTION_WORDS]))]
    assert sections_of("Short", " ".join(words[: sections.MIN_SECTION_WORDS - 1]) + ".") == []


def test_a_section_goes_with_at_most_two_different_headings():
    drawn = [list(sections.pairs_of(["A", "A", "B", "C"], "a section", random.Random(seed))) for seed in range(30)]
    assert all(text == "a section" for pairs in drawn for _, text in pairs)
    anchors = [[anchor for anchor, _ in pairs] for pairs in drawn]
    assert all(len(set(names)) == len(names) for names in anchors)
    assert {len(names) for names in anchors} == {1, 2}


def test_small_packages_share_a_file(tmp_path):
    def write(package, count):
        lines = [line for number in range(count) for line in (f"Heading {number}", f"word{number} " * 20 + package, "")]
        (tmp_path / f"docs-{package}.txt").write_text("\n".join(lines), encoding="utf-8")

    write("large", sections.MIN_SECTIONS)
    write("a", 2)
    write("b", 3)
    packages = dict(sections.pairs_of_packages(tmp_path, random.Random(1)))
    assert {package: len(pairs) for package, pairs in packages.items()} == {"large": sections.MIN_SECTIONS, "small": 5}

import random

import headings

PASSAGE = " ".join(["word"] * 150)


def pairs_of(*lines):
    return headings.pairs_of(list(lines), random.Random(1))


def test_a_passage_belongs_to_the_heading_before_it():
    assert pairs_of("Adding users", PASSAGE, PASSAGE) == [("Adding users", " ".join(["word"] * 120))]


def test_a_heading_belongs_to_no_passage_of_another_document():
    assert pairs_of("Adding users", "", PASSAGE) == []


def test_a_short_sentence_is_no_heading():
    assert pairs_of("This is a sentence.", PASSAGE) == []
    assert pairs_of("How do I add users?", PASSAGE)[0][0] == "How do I add users?"

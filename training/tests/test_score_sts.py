"""Spearman's correlation and the baseline that a small model must beat."""

import numpy
import pytest
import score_sts


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 100),
        ([1, 2, 3], [1, 8, 27], 100),
        ([1, 2, 3], [3, 2, 1], -100),
        ([1, 2, 2, 3], [1, 3, 2, 4], 94.868),
    ],
    ids=["equal order", "any scale", "reverse", "ties"],
)
def test_spearman(first, second, expected):
    assert score_sts.spearman(first, second) == pytest.approx(expected, abs=1e-3)


def test_equal_values_share_the_mean_of_their_ranks():
    numpy.testing.assert_array_equal(score_sts.ranks([5, 1, 5, 9]), [2.5, 1, 2.5, 4])


def test_tf_idf_knows_words_and_counts_rare_ones_more():
    first = ["the cat sat", "the cat sat", "the cat sat", "the"]
    second = ["The cat, sat!", "the dog ran", "a mouse sat", ""]
    same, common_word, rare_word, nothing = score_sts.tf_idf_cosines(first, second)
    assert same == pytest.approx(1)
    assert 0 < common_word < rare_word < 1
    assert nothing == 0

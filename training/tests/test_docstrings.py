import random

import docstrings


def test_a_misspelt_text_differs_and_keeps_its_short_words_and_first_letters():
    text = "Return the length of the longest common subsequence."
    misspelt = docstrings.misspell(text, random.Random(1))
    assert misspelt != text
    for word, other in zip(text.split(), misspelt.split(), strict=True):
        assert word[0] == other[0]
        assert len(word) >= 5 or word == other


def test_every_kind_has_hundreds_of_pairs_and_no_document_twice():
    kinds = docstrings.queries_and_documents()
    assert list(kinds) == ["names", "misspelt", "units"]
    for pairs in kinds.values():
        documents = [document for _, document in pairs]
        assert len(documents) == len(set(documents)) > 500
        assert all(query and document and query != document for query, document in pairs)


def test_the_set_is_the_same_each_time():
    assert docstrings.queries_and_documents() == docstrings.queries_and_documents()

"""langchain-openai against the running Worker. By default it sends cl100k_base token ids, not text."""

import json

import httpx
import pytest
from conftest import API_KEY, TEXTS
from langchain_openai import OpenAIEmbeddings

MODEL = "text-embedding-3-small"


@pytest.fixture
def sent_inputs():
    """What the client put into `input`, request by request."""
    return []


@pytest.fixture
def http_client(sent_inputs):
    def keep(request: httpx.Request) -> None:
        sent_inputs.append(json.loads(request.read())["input"])

    with httpx.Client(event_hooks={"request": [keep]}) as client:
        yield client


@pytest.fixture
def settings(base_url, http_client):
    return {"model": MODEL, "base_url": base_url, "api_key": API_KEY, "http_client": http_client}


def are_token_ids(texts) -> bool:
    return all(isinstance(token, int) for text in texts for token in text)


def test_documents_go_as_token_ids_and_get_the_vectors_of_their_texts(settings, sent_inputs, plain_embeddings):
    vectors = OpenAIEmbeddings(**settings).embed_documents(TEXTS)
    assert are_token_ids(sent_inputs[0])
    for got, expected in zip(vectors, plain_embeddings(TEXTS), strict=True):
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


def test_a_query_goes_as_token_ids_and_gets_the_vector_of_its_text(settings, sent_inputs, plain_embeddings):
    vector = OpenAIEmbeddings(**settings).embed_query(TEXTS[1])
    assert are_token_ids(sent_inputs[0])
    assert vector == pytest.approx(plain_embeddings(TEXTS[1:2])[0], rel=0, abs=1e-6)


def test_fewer_dimensions_are_passed_on(settings, plain_embeddings):
    vectors = OpenAIEmbeddings(**settings, dimensions=8).embed_documents(TEXTS)
    for got, expected in zip(vectors, plain_embeddings(TEXTS, dimensions=8), strict=True):
        assert len(got) == 8
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


def test_long_texts_go_whole_when_the_client_is_told_not_to_cut_them(settings, sent_inputs, plain_embeddings):
    """By default it cuts at 8191 ids and averages the pieces' vectors; the Worker reads longer texts than that."""
    text = " ".join(f"word{i}" for i in range(6000))
    vector = OpenAIEmbeddings(**settings, check_embedding_ctx_length=False).embed_documents([text])[0]
    assert sent_inputs == [[text]]
    assert vector == pytest.approx(plain_embeddings([text])[0], rel=0, abs=1e-6)

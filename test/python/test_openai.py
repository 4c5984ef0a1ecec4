"""The openai package against the running Worker."""

import asyncio

import openai
import pytest
from conftest import API_KEY, TEXTS

MODEL = "text-embedding-3-small"


@pytest.fixture
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key=API_KEY)


def vectors_of(answer) -> list[list[float]]:
    return [item.embedding for item in answer.data]


def test_the_default_request_gets_the_vectors_of_a_plain_one(client, plain_embeddings):
    answer = client.embeddings.create(model=MODEL, input=TEXTS)
    assert answer.model == MODEL
    assert [item.index for item in answer.data] == list(range(len(TEXTS)))
    for got, expected in zip(vectors_of(answer), plain_embeddings(TEXTS), strict=True):
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


def test_a_request_for_floats_gets_the_vectors_of_a_plain_one(client, plain_embeddings):
    answer = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    assert vectors_of(answer)[0] == pytest.approx(plain_embeddings(TEXTS[:1])[0], rel=0, abs=1e-6)


def test_a_request_for_fewer_dimensions_gets_them(client, plain_embeddings):
    answer = client.embeddings.create(model=MODEL, input=TEXTS, dimensions=8)
    for got, expected in zip(vectors_of(answer), plain_embeddings(TEXTS, dimensions=8), strict=True):
        assert len(got) == 8
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


def test_the_asynchronous_client_gets_the_same(base_url, plain_embeddings):
    async def embed():
        async with openai.AsyncOpenAI(base_url=base_url, api_key=API_KEY) as client:
            return await client.embeddings.create(model=MODEL, input=TEXTS)

    for got, expected in zip(vectors_of(asyncio.run(embed())), plain_embeddings(TEXTS), strict=True):
        assert got == pytest.approx(expected, rel=0, abs=1e-6)


def test_a_bad_request_raises_bad_request_error_that_names_the_field(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input=["hello", ""])
    assert caught.value.param == "input[1]"
    assert caught.value.code == "invalid_value"
    assert "input[1]" in caught.value.body["message"]


def test_the_models_are_listed_and_one_is_described(client):
    [model] = client.models.list().data
    assert client.models.retrieve(model.id).id == model.id
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another-model")

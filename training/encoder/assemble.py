"""Makes a sentence-transformers folder out of a student that train.py wrote.

    python training/encoder/assemble.py --student RESULT.safetensors --base all-MiniLM-L6-v2 --out encoder

--base is the folder of the model that the student began as: its configuration and its vocabulary are the student's,
too. The weights are written in f32, in the names that transformers has.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

MAX_TOKENS = 512
# Some of the texts that it has learned from are share-alike (training/EXPERIMENTS.md names them).
README = """---
license: cc-by-sa-4.0
---

A student of all-MiniLM-L6-v2 (Apache-2.0), with whose weights it began, and of bge-small-en-v1.5 (MIT).
"""
COPIED = ("vocab.txt", "special_tokens_map.json")
MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    ("1_Pooling", "sentence_transformers.models.Pooling"),
    ("2_Dense", "sentence_transformers.models.Dense"),
    ("3_Normalize", "sentence_transformers.models.Normalize"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a sentence-transformers folder out of a student.")
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    assemble(options.student, options.base, options.out)


def assemble(student: Path, base: Path, out: Path) -> None:
    tensors = {name: tensor.astype(numpy.float32) for name, tensor in load_file(student).items()}
    linear = {name: tensors.pop(name) for name in ("linear.weight", "linear.bias")}
    for path, _ in MODULES:
        (out / path).mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    save_file(linear, out / "2_Dense" / "model.safetensors", metadata={"format": "pt"})
    for name in COPIED:
        shutil.copyfile(base / name, out / name)

    def write(path: str, value) -> None:
        (out / path).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    write("config.json", config | {"dtype": "float32"})
    tokenizer = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    write("tokenizer.json", tokenizer | {"truncation": None, "padding": None})
    tokenizer_config = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer_config.pop("name_or_path", None)
    write("tokenizer_config.json", tokenizer_config | {"model_max_length": MAX_TOKENS})
    write("modules.json", [{"idx": at, "name": str(at), "path": path, "type": kind} for at, (path, kind) in enumerate(MODULES)])
    write("sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    outputs, width = linear["linear.weight"].shape
    write(
        "1_Pooling/config.json",
        {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
    )
    activation = "torch.nn.modules.linear.Identity"
    write("2_Dense/config.json", {"in_features": width, "out_features": outputs, "bias": True, "activation_function": activation})
    (out / "README.md").write_text(README, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes the axes of a teacher's vectors so that they are those of a model that exists already.

    python training/align.py --teacher TEACHER_DIR --embed target/release/embed --weights model.bin

The model's vectors of the teacher's first texts, without the last dimension, in which all rows add up, say which rotation (orthogonal
Procrustes) turns the teacher's centred vectors onto them, and by how much each dimension is then scaled. TEACHER_DIR/pca.safetensors has both
as its `rotation`. So a table can be trained further from that model's rows (`train --start-from`).
"""

import argparse
import subprocess
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

TEXTS = 60_000
HELD_OUT_SHARE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a teacher's axes so that they are those of a model.")
    parser.add_argument("--teacher", type=Path, required=True, help="folder that teacher.py has written")
    parser.add_argument("--embed", type=Path, required=True, help="the program embed")
    parser.add_argument("--weights", type=Path, required=True, help="the model's weights file")
    options = parser.parse_args()
    texts, vectors = read_teacher(options.teacher)
    lines = "".join(f"{text}\n" for text in texts).encode()
    command = [options.embed, options.weights, "--dimensions", str(vectors.shape[1]), "--format", "f32"]
    output = subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=True).stdout
    wanted = numpy.frombuffer(output, "<f4").reshape(len(texts), -1).copy()
    wanted[:, -1] = 0
    mean, rotation, cosine = fit(vectors, unit(wanted))
    save_file({"mean": mean, "rotation": rotation}, options.teacher / "pca.safetensors")
    print(f"{len(texts):,} texts; mean cosine of the two on held-out ones {cosine:.3f}")


def read_teacher(folder: Path) -> tuple[list[str], numpy.ndarray]:
    texts: list[str] = []
    vectors = []
    for file in sorted(folder.glob("texts-*.safetensors")):
        texts += file.with_suffix(".txt").read_text(encoding="utf-8").split("\n")[:-1]
        vectors.append(load_file(file)["vectors"].astype(numpy.float32))
        if len(texts) >= TEXTS:
            break
    if not texts:
        raise SystemExit(f"{folder}: expected files texts-NNN.safetensors, found none")
    return texts[:TEXTS], numpy.concatenate(vectors)[:TEXTS]


def fit(vectors: numpy.ndarray, wanted: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray, float]:
    """Mean [d], rotation [d, d] with its columns scaled, and the mean cosine on the last texts, which are not used for it."""
    mean = vectors.mean(axis=0)
    centred = unit(vectors - mean)
    kept = round(len(vectors) * (1 - HELD_OUT_SHARE))
    left, _, right = numpy.linalg.svd(centred[:kept].T @ wanted[:kept])
    rotation = left @ right
    scales = wanted[:kept].std(axis=0) / (centred[:kept] @ rotation).std(axis=0)
    rotation = numpy.ascontiguousarray(rotation * scales, numpy.float32)
    cosine = float((unit(centred[kept:] @ rotation) * wanted[kept:]).sum(axis=1).mean())
    return mean.astype(numpy.float32), rotation, cosine


def unit(vectors: numpy.ndarray) -> numpy.ndarray:
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()

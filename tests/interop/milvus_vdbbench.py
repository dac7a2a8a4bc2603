"""VectorDBBench with its own Milvus client, unmodified, run in its own Python: URI FOLDER. One performance case by its command line and one
streaming case by its runner, both on vectors made here (nothing is fetched). Prints the figures it measured."""
import glob
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd

URI, FOLDER = sys.argv[1:3]
ROWS, DIMENSION, QUERIES = 20000, 64, 100


def data(folder):
    random = np.random.default_rng(3)
    centres = random.normal(size=(200, DIMENSION))
    rows = (centres[random.integers(0, 200, ROWS)] + 0.4 * random.normal(size=(ROWS, DIMENSION))).astype(np.float32)
    queries = (centres[random.integers(0, 200, QUERIES)] + 0.4 * random.normal(size=(QUERIES, DIMENSION))).astype(np.float32)
    square = (rows**2).sum(1)
    near = [np.argsort(square - 2 * (rows @ q), kind="stable")[:100] for q in queries]
    os.makedirs(folder, exist_ok=True)
    pd.DataFrame({"id": np.arange(ROWS), "emb": list(rows)}).to_parquet(f"{folder}/train.parquet")
    pd.DataFrame({"id": np.arange(QUERIES), "emb": list(queries)}).to_parquet(f"{folder}/test.parquet")
    pd.DataFrame({"id": np.arange(QUERIES), "neighbors_id": near}).to_parquet(f"{folder}/neighbors.parquet")


def performance(folder):
    tool = os.path.join(os.path.dirname(sys.executable), "vectordbbench")
    subprocess.run([tool, "milvushnsw", "--uri", URI, "--case-type", "PerformanceCustomDataset", "--custom-case-name", "local",
                    "--custom-dataset-name", "local", "--custom-dataset-dir", folder, "--custom-dataset-size", str(ROWS), "--custom-dataset-dim",
                    str(DIMENSION), "--custom-dataset-metric-type", "L2", "--custom-dataset-file-count", "1", "--m", "16", "--ef-construction", "100",
                    "--ef-search", "100", "--k", "10", "--num-concurrency", "1,4", "--concurrency-duration", "3", "--db-label", "performance"],
                   check=True, timeout=300)


def streaming(folder):
    from vectordb_bench.backend.cases import CaseType
    from vectordb_bench.backend.clients import DB
    from vectordb_bench.backend.clients.milvus.config import HNSWConfig, MilvusConfig
    from vectordb_bench.interface import benchmark_runner
    from vectordb_bench.models import CaseConfig, ConcurrencySearchConfig, TaskConfig, TaskStage
    dataset = {"name": "local", "dir": folder, "size": ROWS, "dim": DIMENSION, "metric_type": "L2", "file_count": 1, "use_shuffled": False, "with_gt": True}
    case = CaseConfig(case_id=CaseType.StreamingCustomDataset, k=10, concurrency_search_config=ConcurrencySearchConfig(concurrency_duration=2),
                      custom_case={"description": "local", "dataset_config": dataset, "insert_rate": 1000, "search_stages": [0.5, 0.8],
                                   "concurrencies": [2], "read_dur_after_write": 2})
    task = TaskConfig(db=DB.Milvus, db_config=MilvusConfig(db_label="streaming", uri=URI, collection_name="VDBBench"), case_config=case,
                      db_case_config=HNSWConfig(M=16, efConstruction=100, ef=100, metric_type="L2"), insert_batch_size=100,
                      stages=[TaskStage.DROP_OLD, TaskStage.LOAD, TaskStage.SEARCH_SERIAL, TaskStage.SEARCH_CONCURRENT])
    benchmark_runner.set_drop_old(True)
    benchmark_runner.run([task], "streaming")
    benchmark_runner._sync_running_task()


def results():
    for name in sorted(glob.glob(f"{FOLDER}/results/**/*.json", recursive=True)):
        with open(name, encoding="utf-8") as file:
            for one in json.load(file)["results"]:
                yield one["task_config"]["db_config"]["db_label"], one["label"], one["metrics"]


if __name__ == "__main__":
    data(f"{FOLDER}/data")
    performance(f"{FOLDER}/data")
    streaming(f"{FOLDER}/data")
    seen = {label: (end, metrics) for label, end, metrics in results()}
    print(json.dumps(seen, indent=1))
    for label in ("performance", "streaming"):
        assert label in seen and seen[label][0] == ":)", seen.get(label)
    assert seen["performance"][1]["recall"] >= 0.95 and seen["performance"][1]["qps"] > 0, seen["performance"]
    assert min(seen["streaming"][1]["st_recall_list"][-2:]) >= 0.95, seen["streaming"]  # all rows are there by then
    print("done")

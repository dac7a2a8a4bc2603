#!/usr/bin/env python3
"""The two benchmark entries of entries/, run by their suites' own runner code on our data.

usage: run_entries.py DATA_PREFIX [--ann-benchmarks CHECKOUT] [--big-ann CHECKOUT] [--rows 20000] [--ef 16,64,256] [--lib PATH/libfreshet.so]
CHECKOUT: erikbern/ann-benchmarks and harsha-simhadri/big-ann-benchmarks, only read. Their entry, loading and query code runs as it is
(run_individual_query; StreamingRunner with load_runbook); what they import for containers and downloads and do not use here is replaced
by empty modules. Recall is counted by this script. Needs numpy psutil PyYAML.
"""
import argparse, importlib.machinery, importlib.util, os, sys, tempfile, types
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "index")]
sys.path.append(os.path.join(HERE, "..", "python"))  # an installed module goes first
import peers
import run_runbook
import runbooks

K = 10


class Nothing(types.ModuleType):
    """A module of which every name is there, and every name's names; calls do nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(name)

    def __call__(self, *_, **__):
        return None


def absent(*names):
    """Stand-ins for modules that are not installed: only those."""
    for name in names:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            sys.modules[name] = Nothing(name)
            sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)


def entry(path, name):
    """Load an entry's file under the name that it has in the suite."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def ann_benchmarks(folder, rows, queries, efs):
    sys.path.insert(0, folder)
    absent("colors", "docker", "h5py", "docker.errors")
    import yaml
    from ann_benchmarks import runner
    module = entry(os.path.join(HERE, "entries", "ann_benchmarks", "module.py"), "ann_benchmarks.algorithms.freshet.module")
    with open(os.path.join(HERE, "entries", "ann_benchmarks", "config.yml"), encoding="utf-8") as file:
        definition = yaml.safe_load(file)["float"]["any"][0]
    assert hasattr(module, definition["constructor"])
    algorithm = getattr(module, definition["constructor"])("euclidean", {"profile": "balanced", "M": 16, "efConstruction": 100, "threads": 2})
    seconds, kilobytes = runner.build_index(algorithm, rows)
    print(f"ann-benchmarks: built in {seconds:.1f} s, {kilobytes / 1024:.1f} MB")
    state = run_runbook.State(rows)
    state.row_of[:] = np.arange(len(rows))
    limit = state.exact(queries, "l2")
    for ef in efs:
        algorithm.set_query_arguments(ef)
        attributes, results = runner.run_individual_query(algorithm, rows, queries, "euclidean", K, 1, False)
        found = np.array([[i for i, _ in candidates] for _, candidates in results])
        print(f"ann-benchmarks: {attributes['name']}: recall {state.recall(queries, found, limit, 'l2'):.4f}, {1 / attributes['best_search_time']:.0f} queries/s")


def big_ann(folder, rows, queries):
    sys.path.insert(0, folder)
    absent("colors", "docker", "h5py", "sklearn", "diskannpy")
    from benchmark.streaming.load_runbook import load_runbook
    from neurips23.streaming.run import StreamingRunner
    from benchmark import datasets
    module = entry(os.path.join(HERE, "entries", "big_ann", "freshet_stream.py"), "neurips23.streaming.freshet.freshet_stream")

    class Local:
        """Our data as one of their data sets."""
        nb, d, dtype = len(rows), rows.shape[1], "float32"
        get_queries = staticmethod(lambda: queries)
        get_data_in_range = staticmethod(lambda start, end: rows[start:end])

    datasets.DATASETS["local"] = Local
    for kind in runbooks.KINDS:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            runbooks.write(file, "local", *runbooks.make(kind, len(rows), 2, 10))
            file.flush()
            most, steps = load_runbook("local", len(rows), file.name)
        algorithm = module.Freshet("euclidean", {"threads": 2})
        StreamingRunner.build(algorithm, "local", most)
        algorithm.set_query_arguments({"ef": 64, "threads": 2})
        _, results = StreamingRunner.run_task(algorithm, Local(), "euclidean", K, 1, "knn", False, steps)
        state, recalls, answers = run_runbook.State(rows), [], iter(results)
        for step in steps:
            if step["operation"] == "search":
                recalls.append(state.recall(queries, next(answers), state.exact(queries, "l2"), "l2"))
            elif step["operation"] == "replace":
                state.row_of[step["tags_start"] : step["tags_end"]] = np.arange(step["ids_start"], step["ids_end"])
            else:
                tags = np.arange(step["start"], step["end"])
                state.row_of[tags] = tags if step["operation"] == "insert" else -1
        print(f"big-ann streaming: {kind}: {len(recalls)} searches, recall mean {np.mean(recalls):.4f}, min {min(recalls):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--ann-benchmarks")
    parser.add_argument("--big-ann")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--ef", default="16,64,256")
    parser.add_argument("--lib")
    args = parser.parse_args()
    if args.lib:
        os.environ["FRESHET_LIBRARY"] = os.path.abspath(args.lib)
    rows, queries = peers.read(args.data, "base", args.rows), peers.read(args.data, "query", 200)
    if args.ann_benchmarks:
        ann_benchmarks(args.ann_benchmarks, rows, queries, [int(e) for e in args.ef.split(",")])
    if args.big_ann:
        big_ann(args.big_ann, rows, queries)
    if not args.ann_benchmarks and not args.big_ann:
        raise SystemExit("--ann-benchmarks or --big-ann wants a checkout of that suite")


if __name__ == "__main__":
    main()

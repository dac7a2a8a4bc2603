"""One class per library under comparison, the same few verbs for each: build, save, load, search, and add where the library can.

Settings are those that each library's makers recommend for recall-oriented use at this size, the same for every data set:
M 16 (level 0: 32 links) and efConstruction 200 for the HNSW libraries; SVS degree 64, window 128, alpha 1.2 (0.95 for inner product);
VSAG HGraph degree 32, efConstruction 200. A search call gets all queries at once where the library has such a call (VSAG has none).
"""
import json, os, tempfile
import numpy as np


class Hnswlib:
    def __init__(self, name, dimension, metric):
        import hnswlib
        self.index, self.new = hnswlib.Index(metric, dimension), lambda: Hnswlib(name, dimension, metric)

    def start(self, capacity):
        self.index.init_index(capacity, M=16, ef_construction=200)

    def build(self, rows, threads):
        self.start(len(rows))
        self.add(np.arange(len(rows)), rows, threads)

    def add(self, ids, rows, threads):
        self.index.add_items(rows, ids, num_threads=threads)

    def save(self, path):
        self.index.save_index(path + "/index")

    def load(self, path):
        self.index.load_index(path + "/index")

    def search(self, queries, k, ef, threads):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k, num_threads=threads)[0]


class Faiss:
    def __init__(self, name, dimension, metric):
        import faiss
        self.faiss, self.new = faiss, lambda: Faiss(name, dimension, metric)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.quantised = name == "faiss-sq8"
        self.index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, 32, kind) if self.quantised else faiss.IndexHNSWFlat(dimension, 32, kind)
        self.index.hnsw.efConstruction = 200

    def start(self, capacity):
        pass

    def build(self, rows, threads):
        self.faiss.omp_set_num_threads(threads)
        if self.quantised:
            self.index.train(rows)
        self.index.add(rows)

    def add(self, ids, rows, threads):
        if self.quantised and not self.index.is_trained:
            self.index.train(rows)
        self.faiss.omp_set_num_threads(threads)
        self.index.add(rows)

    def save(self, path):
        self.faiss.write_index(self.index, path + "/index")

    def load(self, path):
        self.index = self.faiss.read_index(path + "/index")

    def search(self, queries, k, ef, threads):
        self.faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, k)[1]


class Usearch:
    def __init__(self, name, dimension, metric):
        from usearch.index import Index
        self.new = lambda: Usearch(name, dimension, metric)
        self.index = Index(ndim=dimension, metric="l2sq" if metric == "l2" else "ip", dtype=name.split("-")[1], connectivity=16, expansion_add=200)

    def start(self, capacity):
        pass

    def build(self, rows, threads):
        self.add(np.arange(len(rows)), rows, threads)

    def add(self, ids, rows, threads):
        self.index.add(ids, rows, threads=threads)

    def save(self, path):
        self.index.save(path + "/index")

    def load(self, path):
        self.index.load(path + "/index")

    def search(self, queries, k, ef, threads):
        self.index.expansion_search = ef
        keys = self.index.search(queries, k, threads=threads).keys
        return np.asarray(keys).reshape(len(queries), k)


class Svs:
    new = None  # the static index: no add

    def __init__(self, name, dimension, metric):
        import svs
        self.svs, self.name, self.l2, self.dimension = svs, name, metric == "l2", dimension
        self.metric = svs.DistanceType.L2 if self.l2 else svs.DistanceType.MIP

    def source(self, file):
        load = self.svs.VectorDataLoader(file, self.svs.DataType.float32)
        if self.name == "svs-lvq8":
            return self.svs.LVQLoader(load, primary=8, residual=0)
        return self.svs.LVQLoader(load, primary=4, residual=8)

    def build(self, rows, threads):
        parameters = self.svs.VamanaBuildParameters(alpha=1.2 if self.l2 else 0.95, graph_max_degree=64, window_size=128)
        if self.name == "svs":
            self.index = self.svs.Vamana.build(parameters, rows, self.metric, num_threads=threads)
            return
        with tempfile.TemporaryDirectory() as folder:
            self.svs.write_vecs(rows, folder + "/rows.fvecs")
            self.index = self.svs.Vamana.build(parameters, self.source(folder + "/rows.fvecs"), self.metric, num_threads=threads)

    def save(self, path):
        self.index.save(path + "/config", path + "/graph", path + "/data")

    def load(self, path):
        if self.name == "svs":
            data = self.svs.VectorDataLoader(path + "/data", self.svs.DataType.float32)
        else:
            data = self.svs.LVQLoader(path + "/data")
        self.index = self.svs.Vamana(path + "/config", self.svs.GraphLoader(path + "/graph"), data, self.metric, num_threads=1)

    def search(self, queries, k, ef, threads):
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        if self.index.search_window_size != ef:
            self.index.search_window_size = ef
        return self.index.search(queries, k)[0]


class Vsag:
    new = None  # its Python module has no add

    def __init__(self, name, dimension, metric):
        import pyvsag
        self.module, self.code, self.metric, self.dimension = pyvsag, {"vsag-sq8": "sq8_uniform", "vsag-fp32": "fp32"}[name], metric, dimension
        self.pool = None

    def create(self, threads):
        parameters = {"base_quantization_type": self.code, "max_degree": 32, "ef_construction": 200, "build_thread_count": threads,
                      "use_reorder": self.code != "fp32", "precise_quantization_type": "fp32"}
        self.index = self.module.Index("hgraph", json.dumps({"dtype": "float32", "metric_type": self.metric, "dim": self.dimension,
                                                             "index_param": parameters}))

    def build(self, rows, threads):
        self.create(threads)
        self.index.build(vectors=rows, ids=np.arange(len(rows)), num_elements=len(rows), dim=self.dimension)

    def save(self, path):
        self.index.save(path + "/index")

    def load(self, path):
        self.create(1)
        self.index.load(path + "/index")

    def search(self, queries, k, ef, threads):
        parameters = json.dumps({"hgraph": {"ef_search": ef}})
        one = lambda q: self.index.knn_search(vector=q, k=k, parameters=parameters)[0]
        if threads == 1:
            return [one(q) for q in queries]
        from concurrent.futures import ThreadPoolExecutor
        self.pool = self.pool or ThreadPoolExecutor(threads)
        parts = self.pool.map(lambda part: [one(q) for q in part], np.array_split(queries, threads))
        return [ids for part in parts for ids in part]


class Freshet:
    def __init__(self, name, dimension, metric):
        import freshet
        profile = name.partition("-")[2] or "balanced"
        self.module, self.new = freshet, lambda: Freshet(name, dimension, metric)
        self.index = freshet.Index(dimension, metric=metric, profile=profile)

    def start(self, capacity):
        pass

    def build(self, rows, threads):
        self.add(np.arange(len(rows)), rows, threads)

    def add(self, ids, rows, threads):
        self.index.add(ids, rows, threads=threads)

    def finish(self, threads):
        """Whatever adding left to be done later."""
        self.index.link(threads=threads)
        assert self.index.waiting() == 0

    def save(self, path):
        self.index.save(path + "/index")

    def load(self, path):
        self.index = self.module.Index.open(path + "/index")

    def search(self, queries, k, ef, threads):
        return self.index.search(queries, k, ef=ef, threads=threads)[0]


PEERS = ("hnswlib", "faiss-hnsw", "faiss-sq8", "usearch-f32", "usearch-bf16", "usearch-i8", "svs", "svs-lvq8", "svs-lvq4x8", "vsag-sq8", "vsag-fp32")
OURS = ("freshet", "freshet-speed", "freshet-compact")


def create(name, dimension, metric):
    if name not in PEERS + OURS:
        raise SystemExit(f"unknown peer {name}: one of {', '.join(OURS + PEERS)}")
    kind = {"hnswlib": Hnswlib, "faiss": Faiss, "usearch": Usearch, "svs": Svs, "vsag": Vsag, "freshet": Freshet}[name.split("-")[0]]
    return kind(name, dimension, metric)


def read(prefix, part, rows=None):
    """Rows of PREFIX.PART.u8bin or .fbin as contiguous f32."""
    for suffix, dtype in ((".u8bin", np.uint8), (".i8bin", np.int8), (".fbin", "<f4")):
        path = f"{prefix}.{part}{suffix}"
        if os.path.exists(path):
            n, d = np.fromfile(path, "<u4", 2)
            return np.ascontiguousarray(np.fromfile(path, dtype, offset=8).reshape(n, d)[:rows], np.float32)
    raise SystemExit(f"no {prefix}.{part}.u8bin, .i8bin or .fbin")

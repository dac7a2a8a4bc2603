"""ann_benchmarks/algorithms/freshet/module.py: freshet in ann-benchmarks, one query at a time by one thread."""
import freshet
import numpy as np

from ..base.module import BaseANN


class Freshet(BaseANN):
    def __init__(self, metric, method_param):
        self.metric = {"angular": "cosine", "euclidean": "l2", "ip": "ip"}[metric]
        self.method_param = method_param
        self.name = f"freshet ({method_param})"

    def fit(self, X):
        self.index = freshet.Index(X.shape[1], metric=self.metric, profile=self.method_param.get("profile", "balanced"), m=self.method_param.get("M"),
                                   ef_construction=self.method_param.get("efConstruction"))
        self.index.add(np.arange(len(X)), X, threads=self.method_param.get("threads", 1))

    def set_query_arguments(self, ef):
        self.ef = ef
        self.name = f"freshet ({self.method_param}, ef: {ef})"

    def query(self, q, n):
        ids = self.index.search(q, n, ef=max(self.ef, n))[0]
        return ids[ids >= 0]

    def batch_query(self, X, n):
        self.res = [ids[ids >= 0] for ids in self.index.search(X, n, ef=max(self.ef, n))[0]]

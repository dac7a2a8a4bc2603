"""neurips23/streaming/freshet/freshet_stream.py: freshet in the streaming track of big-ann-benchmarks."""
import freshet
import numpy as np
from neurips23.streaming.base import BaseStreamingANN


class Freshet(BaseStreamingANN):
    def __init__(self, metric, index_params):
        self.metric = {"euclidean": "l2", "ip": "ip", "angular": "cosine"}[metric]
        self.params, self.ef, self.threads = index_params, 64, 1
        self.name = "freshet"

    def setup(self, dtype, max_pts, ndims):
        self.index = freshet.Index(ndims, metric=self.metric, profile=self.params.get("profile", "balanced"), m=self.params.get("M"),
                                   ef_construction=self.params.get("efConstruction"))

    def insert(self, X, ids):
        self.index.add(ids, X, threads=self.params.get("threads", 1))

    def delete(self, ids):
        self.index.remove(ids)

    def replace(self, X, ids):
        self.index.add(ids, X, threads=self.params.get("threads", 1))

    def query(self, X, k):
        self.res, self.query_dists = self.index.search(X, k, ef=max(self.ef, k), threads=self.threads)

    def set_query_arguments(self, query_args):
        self.ef, self.threads = query_args.get("ef", 64), query_args.get("threads", 1)

    def __str__(self):
        return f"freshet({self.params}, ef {self.ef}, {self.threads} threads)"

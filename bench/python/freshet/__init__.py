"""freshet's vector index in memory, without a log. README.md beside this package says what each call does.

    import freshet
    ix = freshet.Index(128, metric="l2")
    ix.add(ids, vectors, threads=2)
    ids, distances = ix.search(queries, 10, ef=64)
"""
from .index import Index, version

__all__ = ["Index", "version"]
__version__ = version()

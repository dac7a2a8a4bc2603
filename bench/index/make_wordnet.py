#!/usr/bin/env python3
"""Make the true f32 data sets of the benches: the 117,659 texts of WordNet as TF-IDF + truncated SVD (latent semantic analysis), unit norm.

usage: make_wordnet.py OUT_FOLDER [--dimensions 256,768] [--source /usr/share/wordnet]
Writes wordnet<D>.base.fbin, wordnet<D>.query.fbin ({u32 rows, u32 dimension} then f32) and wordnet<D>.gt.i32bin (100 exact neighbours each).
Needs Debian's wordnet-base, and scikit-learn and numpy from PyPI. The same versions on the same machine make the same bytes (fixed seed).
A text is a synset: its words and its gloss. Queries are 1,000 texts drawn with a fixed seed; the others stay in WordNet's order, so that
rows come as clustered as real documents do. All norms are 1: the same neighbours by squared L2, inner product and cosine.
"""
import argparse, os, re, tempfile
import numpy as np

FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
QUERIES, NEIGHBORS = 1000, 100


def texts(folder):
    """One string per synset: 'word word | gloss' (wndb(5WN): offset, file, type, word count in hex, words with ids, ... | gloss)."""
    for name in FILES:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("  "):
                    continue
                head, gloss = line.split(" | ", 1)
                parts = head.split()
                words = parts[4 : 4 + 2 * int(parts[3], 16) : 2]
                yield re.sub(r"\([a-z]+\)$", "", " ".join(words)).replace("_", " ") + " " + gloss.strip()


def weigh(corpus):
    from sklearn.feature_extraction.text import TfidfVectorizer
    return TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2), dtype=np.float32).fit_transform(corpus)


def embed(weights, dimension):
    from sklearn.decomposition import TruncatedSVD
    return unit(TruncatedSVD(dimension, n_iter=4, random_state=42).fit_transform(weights).astype(np.float32))


def unit(rows):
    norms = np.sqrt((rows.astype(np.float64) ** 2).sum(1, keepdims=True))
    return (rows / np.maximum(norms, 1e-12)).astype(np.float32)


def exact(base, queries, k=NEIGHBORS):
    """Ids of the k nearest by squared L2 on the stored values, nearest first, ties by id."""
    squares = (base.astype(np.float64) ** 2).sum(1)
    out = np.empty((len(queries), k), "<i4")
    for start in range(0, len(queries), 100):
        near = squares - 2.0 * (queries[start : start + 100] @ base.T)
        some = np.argpartition(near, 2 * k, axis=1)[:, : 2 * k]
        for i, ids in enumerate(some):
            ids = np.sort(ids)
            d = ((base[ids].astype(np.float64) - queries[start + i].astype(np.float64)) ** 2).sum(1)
            out[start + i] = ids[np.argsort(d, kind="stable")[:k]]
    return out


def write(path, rows):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path) or ".", delete=False) as out:
        np.array(rows.shape, "<u4").tofile(out)
        np.ascontiguousarray(rows).tofile(out)
    os.chmod(out.name, 0o644)
    os.replace(out.name, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--dimensions", default="256,768")
    parser.add_argument("--source", default="/usr/share/wordnet")
    args = parser.parse_args()
    corpus = list(texts(args.source))
    weights = weigh(corpus)
    chosen = np.zeros(len(corpus), bool)
    chosen[np.random.default_rng(42).choice(len(corpus), QUERIES, replace=False)] = True
    os.makedirs(args.out, exist_ok=True)
    for d in map(int, args.dimensions.split(",")):
        rows = embed(weights, d)
        base, queries = np.ascontiguousarray(rows[~chosen]), np.ascontiguousarray(rows[chosen])
        prefix = os.path.join(args.out, f"wordnet{d}")
        write(prefix + ".query.fbin", queries)
        write(prefix + ".gt.i32bin", exact(base, queries))
        write(prefix + ".base.fbin", base)
        print(f"{prefix}: {len(base)} rows and {len(queries)} queries of {d} dimensions, unit norm", flush=True)


if __name__ == "__main__":
    main()

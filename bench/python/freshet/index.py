"""The Index class: numpy in and out over library.py."""
import operator
import os
import threading
from ctypes import byref, c_bool, c_char, c_uint64, c_void_p

import numpy as np

from .library import (BINARY, BINARY_METRICS, DIMENSION_BITS_MAX, DIMENSION_MAX, DTYPES, EF_MAX, K_MAX, METRICS,
                      PROFILES, VECTORS, Error, Options, check, lib)

THREADS_MAX = 64
IDS_RANGE = "ids must be 0 to 2^63 - 1 (a missing hit is -1)"
INT64, FLOAT32 = np.dtype(np.int64), np.dtype(np.float32)  # numpy has one object of each


def version():
    return "0.1.0"  # FR_VERSION of the freshet.h that library.py follows


def _path(name, value):
    path = os.fsencode(value)
    if not path:
        raise ValueError(f"{name} must not be empty")
    if b"\0" in path:  # C would read up to it
        raise ValueError(f"{name} must not hold a zero byte, got {value!r}")
    return path


def _choice(name, value, allowed):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, one of {', '.join(allowed)}; got {type(value).__name__}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    return allowed.index(value)


def _number(name, value, low, high):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")
    return int(value)


def _dtype(value):
    try:
        name = np.dtype(value).name
    except TypeError:
        name = str(value)
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {name}")
    return name


def _ids(value):
    """Any sequence of whole numbers, or one, as contiguous int64."""
    given = np.asarray(value)
    size = given.size
    if size == 0:
        return np.empty(0, np.int64)
    if given.dtype.kind == "O" and given.ndim != 0 and all(isinstance(one, (int, np.integer)) for one in given.flat):  # too large for a dtype
        raise ValueError(IDS_RANGE)
    if given.dtype.kind not in "iu":
        raise TypeError(f"ids must be an array or a list of whole numbers, got {type(value).__name__} of {given.dtype}")
    if given.ndim > 1:
        raise ValueError(f"ids must have 1 dimension, got {given.ndim}")
    low = given.item() if size == 1 else int(given.min())  # of one number a reduction costs more than all the rest
    if low < 0 or (low if size == 1 else int(given.max())) > 2**63 - 1:
        raise ValueError(IDS_RANGE)
    if given.dtype is INT64 and given.ndim == 1 and given.flags.c_contiguous:
        return given
    return np.ascontiguousarray(np.atleast_1d(given), np.int64)


def _vectors(name, value, dim):
    """Rows as contiguous f32, and whether it was one 1-d row."""
    given = np.asarray(value)
    if given.dtype is FLOAT32 and given.ndim == 2 and given.shape[1] == dim and given.flags.c_contiguous:
        return given, False
    if given.dtype.kind not in "fiu" or given.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold numbers (float32, float16, float64, uint8, int8, ...), got {given.dtype}")
    single = given.ndim == 1 and given.size > 0
    rows = given[None, :] if single else given
    if rows.ndim == 1 and rows.size == 0:
        rows = rows.reshape(0, dim)
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise ValueError(f"{name} must have the shape (n, {dim}) or ({dim},), got {given.shape}")
    with np.errstate(over="ignore"):  # what float32 does not hold becomes inf, and that is refused with its place
        return np.ascontiguousarray(rows, np.float32), single


def _packed(name, value, dim):
    """Rows of packed bits (numpy.packbits) as contiguous bytes, and whether it was one 1-d row."""
    given = np.asarray(value)
    if given.size and given.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8, eight bits a byte as numpy.packbits gives them, got {given.dtype}")
    single = given.ndim == 1 and given.size > 0
    rows = given[None, :] if single else given
    if rows.ndim == 1 and rows.size == 0:
        rows = rows.reshape(0, dim // 8)
    if rows.ndim != 2 or rows.shape[1] != dim // 8:
        raise ValueError(f"{name} must have the shape (n, {dim // 8}) or ({dim // 8},), got {given.shape}")
    return np.ascontiguousarray(rows, np.uint8), single


def _at(array):
    """Where its numbers lie. array.ctypes.data makes three objects to say so: a microsecond, of which a call for one row has few."""
    if array.size != 0 and array.flags.writeable:
        return byref(c_char.from_buffer(array))
    return array.ctypes.data


class Index:
    """A vector index in memory. add, remove, link and save take turns; search, get and len run beside them from any thread."""

    def __init__(self, dim, metric="l2", profile="balanced", m=None, ef_construction=None, vectors="auto", folder=None, dtype="float32"):
        if "_handle" in self.__dict__:
            raise RuntimeError("this Index exists already")
        binary = isinstance(metric, str) and metric in BINARY_METRICS
        if binary and isinstance(dim, (int, np.integer)) and dim % 8:
            raise ValueError(f"dim counts bits here, a multiple of 8; got {dim}")
        options = Options(_number("dim", dim, 1, DIMENSION_BITS_MAX if binary else DIMENSION_MAX), _choice("metric", metric, METRICS), 0,
                          0 if m is None else _number("m", m, 2, 32),
                          0 if ef_construction is None else _number("ef_construction", ef_construction, 1, 4096),
                          _choice("profile", profile, PROFILES), _choice("vectors", vectors, VECTORS),
                          None if folder is None else _path("folder", folder), BINARY if binary else DTYPES[_dtype(dtype)])
        handle, error = c_void_p(), Error()
        check(lib.fr_index_create(byref(options), byref(handle), byref(error)), error)
        self._own(handle)

    def _own(self, handle):
        settings = Options()
        lib.fr_index_settings(handle, byref(settings))
        self._handle, self._writing, self._process = handle, threading.Lock(), os.getpid()
        self._dim, self._metric, self._profile = settings.dimension, METRICS[settings.metric], PROFILES[settings.profile]
        self._binary = settings.type == BINARY
        self._dtype = np.dtype("uint8" if self._binary else {number: name for name, number in DTYPES.items()}[settings.type])

    dim = property(lambda self: self._dim, doc="Dimension; of packed bits how many bits.")
    metric = property(lambda self: self._metric)
    profile = property(lambda self: self._profile)
    dtype = property(lambda self: self._dtype, doc="What every vector is exact in, and what get() gives.")

    def _rows(self, name, value):
        return _packed(name, value, self._dim) if self._binary else _vectors(name, value, self._dim)

    @classmethod
    def open(cls, path):
        """The index that save() wrote to this file."""
        handle, error = c_void_p(), Error()
        check(lib.fr_index_open_file(_path("path", path), byref(handle), byref(error)), error)
        self = cls.__new__(cls)
        self._own(handle)
        return self

    def __del__(self):
        handle = self.__dict__.pop("_handle", None)
        if handle and lib is not None and self._process == os.getpid():
            lib.fr_index_free(handle)

    def __reduce_ex__(self, protocol):
        raise TypeError("an Index is not copied or pickled: save() it and Index.open() the file")

    def _turn(self):
        """The lock of what changes the index. Not in a forked child: it has none of the index's threads, and shares the file of originals."""
        if self._process != os.getpid():
            raise RuntimeError("this Index belongs to the process that made it: a forked child may only search it")
        return self._writing

    def add(self, ids, vectors, threads=1):
        """Add rows; the row of an id that exists is replaced. All are searchable on return; up to 8,192 rows wait to be linked together.
        Every number must be exact in the index's dtype."""
        threads = _number("threads", threads, 1, THREADS_MAX)
        ids, (rows, _) = _ids(ids), self._rows("vectors", vectors)
        if len(ids) != len(rows):
            raise ValueError(f"ids and vectors must be as many, got {len(ids)} and {len(rows)}")
        error = Error()
        with self._turn():
            check(lib.fr_index_add(self._handle, _at(ids), _at(rows), len(ids), threads, byref(error)), error)

    def waiting(self):
        """Rows that are searchable, but not linked into the graph yet: searches look at them one by one."""
        return lib.fr_index_waiting(self._handle)

    def link(self, threads=1):
        """Link the rows that wait. Without it they are linked when 8,192 wait (fewer of long vectors), or 50 ms after the last change."""
        threads = _number("threads", threads, 1, THREADS_MAX)
        with self._turn():
            lib.fr_index_link(self._handle, threads)

    def remove(self, ids, missing_ok=False):
        """Remove rows. KeyError, and nothing is removed, when an id is not there (missing_ok: it is passed over). Returns how many were."""
        ids, removed = _ids(ids), c_uint64(0)
        with self._turn():
            if not missing_ok:
                self._present(ids)
            check(lib.fr_index_remove(self._handle, ids.ctypes.data, len(ids), byref(removed)))
        return removed.value

    def _present(self, ids, vectors=None):
        present = (c_bool * max(len(ids), 1))()
        check(lib.fr_index_get(self._handle, ids.ctypes.data, len(ids), vectors.ctypes.data if vectors is not None else None, present))
        missing = ids[~np.frombuffer(present, np.bool_)[: len(ids)]]
        if len(missing):
            raise KeyError(f"{len(missing)} of {len(ids)} ids are not in the index, the first is {missing[0]}")

    def get(self, ids):
        """The vectors of these ids as they were given, as the index's dtype (n, dim); KeyError when one is not there."""
        ids = _ids(ids)
        vectors = np.empty((len(ids), self._dim // 8), np.uint8) if self._binary else np.empty((len(ids), self._dim), np.float32)
        self._present(ids, vectors)
        return vectors.astype(self._dtype, copy=False)

    def __contains__(self, id):
        id = operator.index(id)
        if not 0 <= id < 2**63:
            return False
        try:
            self._present(np.array([id], np.int64))
        except KeyError:
            return False
        return True

    def search(self, queries, k, ef=64, threads=1):
        """The k nearest of each query, nearest first: ids int64 and distances float32, (n, k), or (k,) for one 1-d query.
        Distances: squared L2 | 1 - dot | 1 - cos | bits that differ | 1 - Jaccard. Missing hits: id -1, distance inf."""
        k, ef, threads = _number("k", k, 1, K_MAX), _number("ef", ef, 1, EF_MAX), _number("threads", threads, 1, THREADS_MAX)
        rows, single = self._rows("queries", queries)
        ids, distances, error = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32), Error()
        check(lib.fr_index_search_many(self._handle, rows.ctypes.data, len(rows), k, ef, threads, ids.ctypes.data, distances.ctypes.data,
                                       byref(error)), error)
        if self._metric == "ip":
            distances += 1
        return (ids[0], distances[0]) if single else (ids, distances)

    def __len__(self):
        return lib.fr_index_size(self._handle)

    def memory(self):
        """Bytes held by the index."""
        with self._writing:
            return lib.fr_index_memory(self._handle)

    def save(self, path):
        """Write the whole index to a file, atomically (a temporary file beside it, synced, renamed)."""
        error = Error()
        with self._turn():
            check(lib.fr_index_save_file(self._handle, _path("path", path), byref(error)), error)

    def __repr__(self):
        return f"freshet.Index(dim={self._dim}, metric={self._metric!r}, profile={self._profile!r}, rows={len(self)})"

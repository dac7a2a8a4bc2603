"""The Python module as a caller sees it. FRESHET_LIBRARY names the libfreshet.so when the package is not installed."""
import copy
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest

if "FRESHET_LIBRARY" in os.environ:
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
freshet = pytest.importorskip("freshet")


def rows(n, d, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def filled(n=500, d=24, metric="l2", **more):
    x = rows(n, d)
    ix = freshet.Index(d, metric=metric, **more)
    ix.add(np.arange(n), x, threads=2)
    return ix, x


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("profile", ["balanced", "speed", "compact"])
def test_nearest_and_distances(metric, profile):
    ix, x = filled(metric=metric, profile=profile)
    q = rows(20, 24, 2)
    ids, distances = ix.search(q, 10, ef=500)
    assert ids.shape == distances.shape == (20, 10) and ids.dtype == np.int64 and distances.dtype == np.float32
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)
    want = {"l2": ((q[:, None] - x) ** 2).sum(2), "ip": 1 - q @ x.T, "cosine": 1 - unit(q) @ unit(x).T}[metric]
    np.testing.assert_allclose(distances, np.take_along_axis(want, ids, 1), rtol=1e-4, atol=1e-4)
    assert (np.diff(distances, axis=1) >= 0).all()
    best = np.sort(want, 1)[:, :10]
    assert (distances <= best[:, -1:] + 1e-4).mean() >= 0.97  # compact walks on fewer links


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int8", "int32"])
def test_other_types_are_converted(dtype):
    x = np.random.default_rng(3).integers(0, 100, (50, 8)).astype(dtype)
    ix = freshet.Index(8)
    ix.add(np.arange(50, dtype=np.uint32), x)
    ids, distances = ix.search(x, 1)
    assert (distances == 0).all() and len(ix) == 50
    np.testing.assert_array_equal(ix.get([7])[0], x[7].astype(np.float32))


def test_strided_arrays_and_lists():
    x = rows(100, 16)
    ix = freshet.Index(8)
    ix.add(np.arange(200)[::2], x[:, ::2])
    assert list(ix.search(np.asfortranarray(x[:, ::2]), 1)[0][:, 0]) == list(range(0, 200, 2))
    ix.add([1000], [[0.5] * 8])
    assert 1000 in ix and 1001 not in ix and "rows=101" in repr(ix)


def test_one_query_gives_one_row():
    ix, x = filled(30)
    ids, distances = ix.search(x[3], 5)
    assert ids.shape == distances.shape == (5,) and ids[0] == 3
    ids, distances = ix.search(x[3:4], 40)
    assert ids.shape == (1, 40) and list(ids[0, 30:]) == [-1] * 10 and np.isinf(distances[0, 30:]).all()
    assert ix.search(np.empty((0, 24)), 5)[0].shape == (0, 5)


def test_an_id_that_exists_is_replaced():
    ix, x = filled(100)
    y = rows(100, 24, 9)
    ix.add(np.arange(100), y)
    assert len(ix) == 100
    np.testing.assert_array_equal(ix.get(np.arange(100)), y)
    assert (ix.search(y, 1)[0][:, 0] == np.arange(100)).all()


def test_remove():
    ix, x = filled(100)
    with pytest.raises(KeyError, match="1 of 2 ids are not in the index, the first is 100"):
        ix.remove([5, 100])
    assert len(ix) == 100 and 5 in ix
    assert ix.remove(range(50)) == 50 and len(ix) == 50
    assert ix.remove([5, 60], missing_ok=True) == 1
    assert (ix.search(x, 10, ef=200)[0] >= 50).all()
    with pytest.raises(KeyError):
        ix.get([5])


def test_save_and_open(tmp_path):
    ix, x = filled(300, metric="cosine")
    ix.remove([1, 2, 3])
    ix.save(tmp_path / "a")
    again = freshet.Index.open(str(tmp_path / "a"))
    assert (again.dim, again.metric, len(again)) == (24, "cosine", 297)
    np.testing.assert_array_equal(again.search(x, 5, ef=300)[0], ix.search(x, 5, ef=300)[0])
    again.add([1], x[1])
    assert again.search(x[1], 1)[0][0] == 1
    with pytest.raises(FileNotFoundError):
        freshet.Index.open(tmp_path / "none")
    data = bytearray((tmp_path / "a").read_bytes())
    data[9] ^= 255
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(ValueError, match="not a freshet index"):
        freshet.Index.open(tmp_path / "b")
    for call in (ix.save, freshet.Index.open, lambda path: freshet.Index(8, folder=path)):
        with pytest.raises(ValueError, match="zero byte"):
            call(str(tmp_path / "a") + "\0more")
        with pytest.raises(ValueError, match="must not be empty"):
            call("")


def broken_files(folder):
    """name -> (what stands there, error, text)"""
    ix, _ = filled(40)
    ix.save(folder / "whole")
    whole = (folder / "whole").read_bytes()
    (folder / "dir").mkdir()
    os.mkfifo(folder / "pipe")
    os.symlink(folder / "loop", folder / "loop")
    header = bytearray(whole)
    header[8] = 3
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for name, data in {"empty": b"", "short": b"hello", "text": b"hello world\n" * 100, "header": header, "half": whole[: len(whole) // 2],
                       "last byte": whole[:-1], "longer": whole + b"more", "flipped": flipped, "locked": whole}.items():
        (folder / name).write_bytes(data)
    os.chmod(folder / "locked", 0)
    return {"none": (FileNotFoundError, "No such file"), "none/below": (FileNotFoundError, "No such file"), "whole/below": (OSError, "Not a directory"),
            "dir": (OSError, "is a directory"), "pipe": (OSError, "is not a regular file"), "loop": (OSError, "symbolic links"),
            "empty": (ValueError, "is empty"), "short": (ValueError, "5 bytes are too few"), "text": (ValueError, "not a freshet index"),
            "header": (ValueError, "not a freshet index"), "half": (ValueError, "cut off, or its end damaged, at byte"), "last byte": (ValueError, "cut off, or its end damaged, at byte"),
            "longer": (ValueError, "cut off, or its end damaged, at byte"), "flipped": (ValueError, "checksum"),
            "locked": (OSError, "Permission denied"), "n" * 300: (OSError, "File name too long")}


def test_what_cannot_be_opened_says_why(tmp_path):
    for name, (error, text) in broken_files(tmp_path).items():
        if name == "locked" and os.geteuid() == 0:
            continue  # root reads all
        with pytest.raises(error, match=text) as raised:
            freshet.Index.open(tmp_path / name)
        assert str(raised.value).startswith("path: cannot open ") and name[-40:] + ": " in str(raised.value), raised.value
    assert freshet.Index.open(tmp_path / "whole").search(np.zeros(24), 1)[0][0] >= 0


def test_what_cannot_be_saved_says_why(tmp_path):
    ix, x = filled(50)
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, error, text in (("pipe", OSError, "is not a regular file"), ("none/file", FileNotFoundError, "No such file"), ("file/below", OSError, "Not a directory"), ("dir", OSError, "directory"),
                              ("n" * 300, OSError, "File name too long")):
        with pytest.raises(error, match=text) as raised:
            ix.save(tmp_path / name)
        assert name[-40:] in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["dir", "file", "pipe"] and (tmp_path / "file").read_bytes() == b"kept"
    assert ix.search(x, 1)[0][:, 0].tolist() == list(range(50))


def test_saving_over_the_file_that_was_opened(tmp_path):
    ix, x = filled(3000)
    ix.save(tmp_path / "a")
    again = freshet.Index.open(tmp_path / "a")
    again.remove(range(1000))
    again.save(tmp_path / "a")
    assert (again.search(x[1000:], 1, ef=200)[1] == 0).mean() > 0.99 and len(freshet.Index.open(tmp_path / "a")) == 2000


def test_copies_are_refused():
    ix, x = filled(50)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied or pickled"):
            copied(ix)
    with pytest.raises(RuntimeError, match="exists already"):
        ix.__init__(24)
    assert ix.search(x, 1)[0][:, 0].tolist() == list(range(50))


@pytest.mark.parametrize("vectors", ["memory", "disk"])
def test_a_forked_child_searches_and_does_not_write(vectors, tmp_path):
    """It has none of the index's threads, and shares the unnamed file of originals."""
    ix, x = filled(3000, vectors=vectors)
    refused = 0
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int((ix.search(x[:100], 1, ef=200)[1] != 0).mean() > 0.01)
            for call in (lambda: ix.add([1], x[:1]), lambda: ix.remove([1]), ix.link, lambda: ix.save(tmp_path / "child")):
                try:
                    call()
                except RuntimeError as error:
                    refused += "process" in str(error)
            del ix
            status += refused != 4
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    ix.add([1], x[2:3])
    assert (ix.search(x[100:200], 1, ef=200)[1] == 0).mean() > 0.99 and not os.listdir(tmp_path)


def test_calls_from_many_threads_at_once(tmp_path):
    """Two add by two threads each, others search and save meanwhile: every file that comes of it opens."""
    x = rows(12000, 16, 4)
    ix, failed = freshet.Index(16), []

    def guarded(call):
        def run():
            try:
                call()
            except BaseException as error:  # noqa: a thread's error is the test's
                failed.append(error)
        return threading.Thread(target=run)

    def adding(first):
        for at in range(first, len(x), 1000):
            ix.add(np.arange(at, at + 500), x[at : at + 500], threads=2)

    threads = [guarded(lambda: adding(0)), guarded(lambda: adding(500)), guarded(lambda: [ix.search(x[:50], 5, threads=2) for _ in range(20)]),
               guarded(lambda: [ix.save(tmp_path / str(i)) for i in range(3)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(ix) == len(x)
    assert (ix.search(x, 1, ef=200)[1] == 0).mean() > 0.99
    for name in os.listdir(tmp_path):
        assert len(freshet.Index.open(tmp_path / name)) % 500 == 0


def test_a_folder_that_cannot_hold_originals_is_refused_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder: cannot write into"):
        freshet.Index(8, vectors="disk", folder=tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="folder: cannot write into"):
        freshet.Index(8, folder=tmp_path / "file")
    freshet.Index(8, folder=tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def mapped_bytes(path):
    with open("/proc/self/maps", encoding="ascii") as maps:
        ranges = [line.split()[0].split("-") for line in maps if line.rstrip().endswith(str(path))]
    return sum(int(end, 16) - int(start, 16) for start, end in ranges)


@pytest.mark.parametrize("vectors", ["disk", "auto"])
def test_codes_of_vectors_on_disk_stay_in_their_file(vectors, tmp_path):
    """Where there is less memory than codes need the kernel can take their pages away; else they become memory of the index."""
    x = rows(40000, 128) * np.float32(0.9) ** np.arange(128, dtype=np.float32)
    ix = freshet.Index(128, vectors=vectors)
    ix.add(np.arange(len(x)), x, threads=2)
    ix.save(tmp_path / "disk")
    again = freshet.Index.open(tmp_path / "disk")
    until = time.monotonic() + (1 if vectors == "disk" else 60)
    while time.monotonic() < until and (vectors == "disk" or mapped_bytes(tmp_path / "disk") >= x.size):
        assert (again.search(x[:100], 1, ef=200)[1] == 0).mean() > 0.9
    assert (mapped_bytes(tmp_path / "disk") >= x.size) == (vectors == "disk")
    again.add(np.arange(1000), x[1000:2000])
    again.remove(np.arange(5000, 6000))
    assert (again.search(x[1000:1100], 2, ef=200)[1] == 0).mean() > 0.9 and len(again) == 39000


def test_contains_of_what_no_id_can_be():
    ix, _ = filled(10)
    assert -1 not in ix and 2**63 not in ix and 10**30 not in ix and 3 in ix
    assert np.uint64(3) in ix and np.array(3) in ix
    for wrong in ("3", 3.0, [3], None):
        with pytest.raises(TypeError):
            wrong in ix


def test_memory_grows():
    empty = freshet.Index(64).memory()
    ix, _ = filled(3000, 64)
    assert 3000 * 64 < ix.memory() - empty < 3000 * 64 * 20


@pytest.mark.parametrize("call,error,text", [
    (lambda ix: freshet.Index(0), ValueError, "dim must be 1 to 32768, got 0"),
    (lambda ix: freshet.Index(40000), ValueError, "dim must be 1 to 32768"),
    (lambda ix: freshet.Index("8"), TypeError, "dim must be a whole number"),
    (lambda ix: freshet.Index(8, metric="l1"), ValueError, "metric must be one of l2, ip, cosine, hamming, jaccard; got 'l1'"),
    (lambda ix: freshet.Index(8, metric=3), TypeError, "metric must be a string"),
    (lambda ix: freshet.Index(8, profile="fast"), ValueError, "profile must be one of"),
    (lambda ix: freshet.Index(8, m=33), ValueError, "m must be 2 to 32"),
    (lambda ix: freshet.Index(8, ef_construction=5000), ValueError, "ef_construction must be 1 to 4096"),
    (lambda ix: ix.add([1], rows(1, 7)), ValueError, r"vectors must have the shape \(n, 24\)"),
    (lambda ix: ix.add([1, 2], rows(1, 24)), ValueError, "ids and vectors must be as many, got 2 and 1"),
    (lambda ix: ix.add([1.5], rows(1, 24)), TypeError, "ids must be an array or a list of whole numbers"),
    (lambda ix: ix.add([-1], rows(1, 24)), ValueError, r"ids must be 0 to 2\^63 - 1"),
    (lambda ix: ix.add(np.array([2**63], np.uint64), rows(1, 24)), ValueError, "ids must be 0 to"),
    (lambda ix: ix.add([2**70], rows(1, 24)), ValueError, "ids must be 0 to"),
    (lambda ix: ix.add({1}, rows(1, 24)), TypeError, "ids must be an array or a list of whole numbers, got set"),
    (lambda ix: ix.remove([-5]), ValueError, "ids must be 0 to"),
    (lambda ix: setattr(ix, "dim", 3), AttributeError, ""),
    (lambda ix: ix.add([[1]], rows(1, 24)), ValueError, "ids must have 1 dimension"),
    (lambda ix: ix.add([1], np.full((1, 24), np.nan)), ValueError, "vectors: vector 0 holds a value that is not finite"),
    (lambda ix: ix.add([1], [["x"] * 24]), TypeError, "vectors must hold numbers"),
    (lambda ix: ix.add([1], rows(1, 24), threads=0), ValueError, "threads must be 1 to 64, got 0"),
    (lambda ix: ix.search(rows(2, 24), 0), ValueError, "k must be 1 to 16384, got 0"),
    (lambda ix: ix.search(rows(2, 24), 20000), ValueError, "k must be 1 to 16384"),
    (lambda ix: ix.search(rows(2, 24), 5, ef=40000), ValueError, "ef must be 1 to 32768"),
    (lambda ix: ix.search(np.full((1, 24), np.inf), 5), ValueError, "queries: vector 0 holds a value that is not finite"),
    (lambda ix: ix.add([1], np.full((1, 24), 1e300)), ValueError, "vectors: vector 0 holds a value that is not finite"),
    (lambda ix: ix.search(rows(2, 25), 5), ValueError, "queries must have the shape"),
    (lambda ix: ix.search(rows(2, 24), 5.0), TypeError, "k must be a whole number"),
])
def test_refusals_name_the_argument_and_the_limit(call, error, text):
    ix, _ = filled(20)
    with pytest.raises(error, match=text):
        call(ix)
    assert len(ix) == 20


def test_threads_search_while_one_adds_and_removes():
    ix, x = filled(400)
    extra, failed, stop = rows(2000, 24, 7), [], threading.Event()

    def searching():
        while not stop.is_set():
            ids, distances = ix.search(x[:16], 3, ef=64)
            if (distances[:, 0] != 0).any() or (ids[:, 0] != np.arange(16)).any():
                failed.append((ids, distances))

    searchers = [threading.Thread(target=searching) for _ in range(3)]
    for thread in searchers:
        thread.start()
    for at in range(0, 2000, 200):
        ix.add(1000 + np.arange(at, at + 200), extra[at : at + 200], threads=2)
        ix.remove(1000 + np.arange(at, at + 100))
    stop.set()
    for thread in searchers:
        thread.join()
    assert not failed and len(ix) == 400 + 1000


def test_search_lets_other_threads_run():
    ix, x = filled(2000, 64)
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    sys.setswitchinterval(0.5)  # did the call keep the interpreter, the counter could not move in it
    try:
        thread.start()
        before = ticks[0]
        ix.search(np.repeat(x, 3, 0), 10, ef=200)
        moved = ticks[0] - before
        stop.set()
    finally:
        sys.setswitchinterval(0.005)
        stop.set()
        thread.join()
    assert moved > 0


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_dtypes_come_back_bit_for_bit(metric, dtype, tmp_path):
    x = rows(3000, 40)
    x = x.astype(np.float16) if dtype == "float16" else np.clip(x * 50, -128, 127).astype(np.int8)
    ix = freshet.Index(40, metric=metric, dtype=dtype)
    ix.add(np.arange(len(x)), x, threads=2)
    ix.save(str(tmp_path / "typed"))
    q = rows(20, 40, 2) * (1 if dtype == "float16" else 50)
    wide, plain = x.astype(np.float64), freshet.Index(40, metric=metric)
    plain.add(np.arange(len(x)), x)
    for one in (ix, freshet.Index.open(str(tmp_path / "typed"))):
        assert one.dtype == np.dtype(dtype)
        back = one.get(np.arange(len(x)))
        assert back.dtype == x.dtype and back.tobytes() == x.tobytes()
        ids, distances = one.search(q, 10, ef=300)
        dots = q.astype(np.float64) @ wide.T
        squares, norms = (wide ** 2).sum(1), (q.astype(np.float64) ** 2).sum(1)[:, None]
        truth = {"l2": squares + norms - 2 * dots, "ip": 1 - dots, "cosine": 1 - dots / np.sqrt(squares * norms)}[metric]
        found = [len(set(ids[i]) & set(np.argsort(truth[i], kind="stable")[:10])) for i in range(len(q))]
        assert sum(found) >= 0.97 * 10 * len(q)
    assert ix.memory() <= plain.memory() * 1.02


def test_a_dtype_takes_only_its_own_numbers():
    ix = freshet.Index(4, dtype="int8")
    for wrong in ([1.5, 0, 0, 0], [128, 0, 0, 0]):
        with pytest.raises(ValueError, match="type"):
            ix.add([1], [wrong])
    with pytest.raises(ValueError, match="type"):
        freshet.Index(4, dtype=np.float16).add([1], np.array([[1.0001, 0, 0, 0]], np.float32))
    assert len(ix) == 0
    with pytest.raises(ValueError, match="dtype must be one of"):
        freshet.Index(4, dtype="uint16")


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_packed_bits(metric, tmp_path):
    rng = np.random.default_rng(5)
    bits = (rng.random((3000, 136)) < 0.3).astype(np.uint8)
    rows = np.packbits(bits, axis=1)
    ix = freshet.Index(136, metric=metric)
    ix.add(np.arange(3000), rows)
    assert ix.dtype == np.uint8 and ix.dim == 136
    differ = (bits[:20, None] != bits[None]).sum(2)
    truth = differ if metric == "hamming" else differ / np.maximum((bits[:20, None] | bits[None]).sum(2), 1)
    for one in (ix, None):
        if one is None:
            ix.save(tmp_path / "bits")
            one = freshet.Index.open(tmp_path / "bits")
        ids, distances = one.search(rows[:20], 10, ef=400)
        assert (ids[:, 0] == np.arange(20)).all() and (distances[:, 0] == 0).all()
        np.testing.assert_allclose(distances, np.take_along_axis(truth, ids, 1), rtol=1e-6)
        assert (distances[:, 9] <= np.sort(truth, 1)[:, 9] + 1e-6).mean() >= 0.95
        assert (one.get([7]) == rows[7]).all()
    for wrong in (bits[:1], rows[:1].astype(np.int16), rows[:1, :5]):
        with pytest.raises((TypeError, ValueError)):
            ix.add([1], wrong)
    with pytest.raises(ValueError):
        freshet.Index(12, metric=metric)


def test_rows_wait_and_are_linked():
    x = rows(3000, 16, 9)
    ix = freshet.Index(16)
    ix.add(np.arange(2100), x[:2100])
    assert ix.waiting() == 0  # a small index links at once
    for at in range(2100, 3000, 100):
        ix.add(np.arange(at, at + 100), x[at : at + 100])
    read_only = x[:1].copy()
    read_only.flags.writeable = False
    ix.add([5000], read_only)
    assert list(ix.search(x, 1)[0][:2, 0]) in ([0, 1], [5000, 1]) and (ix.search(x, 1)[1] == 0).all()
    ix.link(threads=2)
    assert ix.waiting() == 0 and len(ix) == 3001
    assert (ix.search(x, 1, ef=200)[1] == 0).mean() > 0.999
    with pytest.raises(ValueError, match="threads"):
        ix.link(threads=0)

"""The comparison's own arithmetic, and one whole run on freshet alone (its profiles), through workers, cache, JSON and picture."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
INDEX = os.path.join(HERE, "..")
sys.path.insert(0, INDEX)
pytest.importorskip("psutil")
import compare


def write(path, rows):
    with open(path, "wb") as file:
        np.array(rows.shape, "<u4").tofile(file)
        rows.tofile(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(1)
    base, queries = random.standard_normal((2000, 24)).astype("<f4"), random.standard_normal((60, 24)).astype("<f4")
    near = np.argsort(((queries[:, None] - base) ** 2).sum(2), 1)[:, :100].astype("<i4")
    for name, rows in (("base.fbin", base), ("query.fbin", queries), ("gt.i32bin", near)):
        write(folder / f"set.{name}", rows)
    return str(folder / "set")


def test_between_the_points():
    curve = [{"recall": 0.8, "qps": 1000}, {"recall": 0.9, "qps": 100}, {"recall": 0.96, "qps": 10}]
    assert compare.at(curve, 0.9) == pytest.approx(100)
    assert compare.at(curve, 0.85) == pytest.approx(316.2, rel=1e-3)  # halfway on the logarithm
    assert compare.at(curve, 0.7) == 1000
    assert compare.at(curve, 0.99) is None and compare.at([], 0.9) is None


def test_recall_counts_by_distance(data):
    truth = compare.Truth(data, "l2")
    near = np.fromfile(data + ".gt.i32bin", "<i4", offset=8).reshape(-1, 100)
    assert truth.recall(near[:, :10], 0) == 1
    assert truth.recall(near[:, 10:20], 0) == 0
    half = near[:, :10].copy()
    half[:, 5:] = half[:, :1]  # the same row again does not count again
    assert truth.recall(half, 0) == pytest.approx(0.5)
    half[:, 5:] = -1
    assert truth.recall(half, 0) == pytest.approx(0.5)


def test_a_whole_run(data, tmp_path):
    lib = os.environ.get("FRESHET_LIBRARY") or os.path.join(os.path.dirname(pytest.importorskip("freshet").__file__), "libfreshet.so")
    command = [sys.executable, os.path.join(INDEX, "compare.py"), data, "--peers", "", "--ours", "freshet,freshet-compact", "--lib", lib, "--rounds", "2",
               "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "out.json"), "--inserts", "500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    out = json.loads((tmp_path / "out.json").read_text())
    for name in ("freshet", "freshet-compact"):
        library = out["libraries"][name]
        assert library["curve"][-1]["recall"] > 0.95 and library["resident_mb"] < 500 and library["insert"]["batch_per_s"] > 0
    again = subprocess.run([*command, "--quick"], capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0 and "building" not in again.stdout  # the cache is used
    picture = subprocess.run([sys.executable, os.path.join(INDEX, "picture.py"), str(tmp_path / "out.json")], capture_output=True, text=True, check=True)
    root = xml.fromstring(picture.stdout)
    assert len(root.findall(".//{*}polyline")) == 2

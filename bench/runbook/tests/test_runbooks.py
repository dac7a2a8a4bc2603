"""Runbooks: read, refused, made; and one played against the library with exact truth."""
import io
import os
import subprocess
import sys

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
runbooks = pytest.importorskip("runbooks")
pytest.importorskip("yaml")

EXAMPLE = """
random-xs:
  max_pts: 100
  1:
    operation: "insert"
    start: 0
    end: 75
  2:
    operation: "search"
  3:
    operation: "replace"
    tags_start: 0
    tags_end: 25
    ids_start: 75
    ids_end: 100
  4:
    operation: "delete"
    start: 25
    end: 50
  5:
    operation: "search"
  gt_url: "none"
"""


def loaded(tmp_path, text):
    (tmp_path / "book.yaml").write_text(text)
    return runbooks.load(tmp_path / "book.yaml")


def test_the_format_is_read(tmp_path):
    name, most, steps = loaded(tmp_path, EXAMPLE)
    assert (name, most, len(steps)) == ("random-xs", 100, 5)
    assert steps[2] == {"operation": "replace", "tags_start": 0, "tags_end": 25, "ids_start": 75, "ids_end": 100}


@pytest.mark.parametrize("before,after,text", [
    ("max_pts: 100", "max_pts: none", "max_pts must be a whole number"),
    ("max_pts: 100", "max_pts: 70", "step 1: 75 rows are more than max_pts 70"),
    ("end: 75", "end: 0", "step 1: start 0 is not below end 0"),
    ("    end: 75\n", "", "step 1: end must be a whole number from 0 on, got None"),
    ("ids_end: 100", "ids_end: 99", "step 3: 25 tags but 24 ids"),
    ("tags_end: 25\n    ids_start: 75", "tags_end: 76\n    ids_start: 24", "step 3: replaces a tag that is not there"),
    ("start: 25\n    end: 50", "start: 70\n    end: 80", "step 4: deletes a tag that is not there"),
    ("\"delete\"", "\"insert\"", "step 4: inserts a tag that is there already"),
    ("\"delete\"", "\"drop\"", "step 4: operation must be insert, delete, replace or search, got 'drop'"),
    ("  4:\n", "  6:\n", "steps are numbered from 1 without a gap"),
])
def test_what_cannot_be_done_is_refused(tmp_path, before, after, text):
    assert before in EXAMPLE
    with pytest.raises(runbooks.RunbookError, match=text):
        loaded(tmp_path, EXAMPLE.replace(before, after))


@pytest.mark.parametrize("kind", runbooks.KINDS)
@pytest.mark.parametrize("rows", [1000, 1003])
def test_made_runbooks_hold(tmp_path, kind, rows):
    most, steps = runbooks.make(kind, rows, churn=2, steps=10, seed=3)  # make() checks it
    assert runbooks.make(kind, rows, churn=2, steps=10, seed=3) == (most, steps)
    assert {"insert", "search"} <= {step["operation"] for step in steps} and 0 < most <= rows
    gone = sum(step.get("end", 0) - step.get("start", 0) for step in steps if step["operation"] == "delete")
    gone += sum(step["tags_end"] - step["tags_start"] for step in steps if step["operation"] == "replace")
    if kind in ("sliding", "replace"):
        assert 1.8 <= gone / most <= 2.2  # churn
    else:
        assert gone > 0
    text = io.StringIO()
    runbooks.write(text, "local", most, steps)
    assert loaded(tmp_path, text.getvalue()) == ("local", most, steps)


def test_clusters_become_runs():
    random = np.random.default_rng(5)
    labels = random.integers(0, 4, 2000)
    rows = (np.eye(4, 8)[labels] * 50 + random.standard_normal((2000, 8))).astype(np.float32)
    assert (np.diff(labels[runbooks.order(rows, 4)]) != 0).sum() <= 6


@pytest.mark.parametrize("kind", ["sliding", "replace"])
def test_a_runbook_is_played(tmp_path, kind):
    if "FRESHET_LIBRARY" not in os.environ:
        pytest.importorskip("freshet")
    pytest.importorskip("psutil")
    random = np.random.default_rng(1)
    for part, n in (("base", 3000), ("query", 100)):
        with open(tmp_path / f"set.{part}.u8bin", "wb") as file:
            np.array([n, 16], "<u4").tofile(file)
            random.integers(0, 256, (n, 16)).astype(np.uint8).tofile(file)
    command = [sys.executable, os.path.join(HERE, "..", "run_runbook.py"), str(tmp_path / "set"), kind, "--churn", "2", "--steps", "5", "--ef", "100"]
    # so few rows: memory comes in pieces as large as the rows
    done = subprocess.run([*command, "--check", "--memory-growth", "3"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

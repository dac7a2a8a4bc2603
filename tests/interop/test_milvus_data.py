"""Entities through pymilvus: pieces, long lists, nulls, ids, iterators, a restart."""
import os
import signal
import subprocess

import pytest

from conftest import python_with

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = {"milvus3": ("pymilvus==3.0.2", "numpy"), "milvus26": ("pymilvus==2.6.17", "setuptools<81", "numpy")}


@pytest.mark.parametrize("client", CLIENTS)
def test_data(server, client):
    python = python_with(client, *CLIENTS[client])
    for step in ("write", "again"):
        run = subprocess.run([python, os.path.join(HERE, "milvus_data.py"), server.uri, step], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
        if step == "write":
            server.stop(signal.SIGKILL)
            server.start()

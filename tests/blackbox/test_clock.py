"""Somebody sets the wall clock back by two hours while the server runs: time goes on from where it was (api/wall.h)."""
import os
import shutil
import subprocess
import time

import pytest

from conftest import wait_for

SOURCE = """
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && access(AHEAD, F_OK) == 0) now->tv_sec += 7200;
    return result;
}
"""


@pytest.fixture
def clock(fresh, tmp_path):
    """(a server whose clock is two hours ahead, a function that sets it back)"""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    ahead, library = tmp_path / "ahead", tmp_path / "clock.so"
    (tmp_path / "clock.c").write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", f'-DAHEAD="{ahead}"', "-o", library, tmp_path / "clock.c"], check=True)
    ahead.write_text("")
    environment = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    return fresh(["--snapshot-interval", "2"], environment=environment).start(), ahead.unlink


def records(count, dimension=3):
    return [{"id": i, "vector": [i + 1.0] * dimension} for i in range(count)]


def test_times_in_the_log_do_not_fall(clock):
    one, set_back = clock
    one.create("c")
    one.upsert("c", records(1))
    set_back()
    time.sleep(0.01)
    one.upsert("c", records(1))
    first, second = (r["timestamp"] for r in one.get("/v1/collections/c/log?offset=0&limit=10").json()["records"])
    assert first <= second <= first + 60_000
    assert first > (time.time() + 7000) * 1000


def test_a_snapshot_that_is_due_comes(clock):
    one, set_back = clock
    one.create("c")
    one.upsert("c", records(5))
    set_back()
    wait_for(lambda: one.get("/v1/collections/c").json()["offsets"]["0"]["snapshot"] >= 4)


def test_what_had_expired_does_not_come_back(clock):
    one, set_back = clock

    def rest(path, body):
        reply = one.post("/v2/vectordb/" + path, body).json()
        assert reply["code"] == 0, reply
        return reply

    rest("collections/create", {"collectionName": "short", "dimension": 2, "params": {"ttlSeconds": 2}})
    rest("entities/insert", {"collectionName": "short", "data": [{"id": 1, "vector": [1, 0]}]})
    wait_for(lambda: not rest("entities/get", {"collectionName": "short", "id": [1]})["data"])
    set_back()
    for _ in range(20):
        assert not rest("entities/get", {"collectionName": "short", "id": [1]})["data"]
        time.sleep(0.05)
    for number in range(2, 12):  # a busy machine may need more than the two seconds
        rest("entities/insert", {"collectionName": "short", "data": [{"id": number, "vector": [1, 0]}]})
        if rest("entities/get", {"collectionName": "short", "id": [number]})["data"]:
            break
    else:
        pytest.fail("nothing is found before it expires")
    wait_for(lambda: not rest("entities/get", {"collectionName": "short", "id": [number]})["data"])


def test_a_replay_at_a_rate_goes_on(clock):
    one, set_back = clock
    one.create("from")
    one.upsert("from", records(60))
    started = one.post("/v1/collections/from/replay", {"target": "into", "rate": 30})
    assert started.status // 100 == 2, started.json()
    time.sleep(0.5)  # it waits for its next batch
    set_back()
    wait_for(lambda: one.get("/v1/collections/into").status == 200 and one.count("into") == 60)

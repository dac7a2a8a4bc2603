"""Public Milvus examples against two servers, only their URI changed: ONE_URI OTHER_URI EXAMPLE.py ... Equal up to times and long numbers (ids that
a server gives, timestamps). Prints a line an example; 0 when all are equal and none failed."""
import difflib
import os
import re
import subprocess
import sys

from pymilvus import MilvusClient

ENDPOINT = re.compile(r"https?://(?:localhost|127\.0\.0\.1):19530")


def moved(text, uri):
    """The text with another URI, and how many places that were."""
    host, port = uri.rsplit("/", 1)[1].rsplit(":", 1)
    if "--uri" in text: # it asks for one itself
        text = "import sys\nsys.argv[1:] = ['--uri', %r]\n" % uri + text.replace("from __future__", "#")
    text, count = ENDPOINT.subn(uri, text)
    text, more = re.subn(r"host=(['\"])(?:localhost|127\.0\.0\.1)\1, port=(['\"])19530\2", f'host="{host}", port="{port}"', text)
    return text, count + more


def shown(text, given):
    """What must be equal: without durations, numbers that only say when, and ids where the example lets the server give them."""
    text = re.sub(r", '(created|update)_timestamp': \d+|'iterator_session_ts': \d+", "", text)
    if given:
        text = re.sub(r"('(?:id|pk)': )\d+|(?<=[\[ ])\d+(?=[,\]])", "NUMBER", text)
    text = re.sub(r"\d+\.\d+ ?(s|ms|seconds?)\b|(latency|cost|took)\D{0,12}[\d.]+", "TIME", text)
    text = re.sub(r"(?<![.\d])\d{12,}\b", "NUMBER", text)
    text = re.sub(r"('(?:field_id|collection_id)': )\d+", r"\1NUMBER", text)
    # float32 sums in another order differ in their last digit
    return re.sub(r"-?\d+\.\d{4,}(e-?\d+)?", lambda m: f"{float(m[0]):.4g}", text)


def run(path, uri):
    client = MilvusClient(uri)
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()
    with open(path, encoding="utf-8") as file:
        text, places = moved(file.read(), uri)
    assert places, f"{path} names no server"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, cwd=os.path.dirname(path) or ".")
    return done.returncode, shown(done.stdout, re.search(r"auto_id ?= ?True", text)), done.stderr[-600:]


def main():
    one, other, bad = sys.argv[1], sys.argv[2], 0
    for path in sys.argv[3:]:
        first, second = run(path, one), run(path, other)
        name = os.path.basename(path)
        if first[0] or second[0]:
            print(f"{name}: FAILED {first[0]} {second[0]}: {first[2] if first[0] else ''} | {second[2] if second[0] else ''}")
        elif first[1] != second[1]:
            print(f"{name}: DIFFERENT\n" + "\n".join(list(difflib.unified_diff(first[1].splitlines(), second[1].splitlines(), lineterm="", n=0))[:20]))
        else:
            print(f"{name}: equal, {len(first[1].splitlines())} lines")
            continue
        bad += 1
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()

"""What every bench script shares: the machine it ran on, and where its raw JSON goes (bench/results/NAME.json)."""
import json
import os
import platform
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
BINARY = os.path.join(ROOT, "build", "release", "freshet")


def _first(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "kernel": platform.release(),
            "compiler": _first(["gcc", "--version"]), "commit": _first(["git", "rev-parse", "--short=12", "HEAD"]),
            "load_before": round(os.getloadavg()[0], 2), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def save(name, result, before, keep=True):
    """Print the result, and keep it with the machine as it was before."""
    print(json.dumps(result))
    if not keep:
        return
    document = {"name": name, "machine": before, "command": " ".join(os.path.basename(a) if os.path.isabs(a) else a for a in sys.argv), "result": result}
    folder = os.path.join(ROOT, "bench", "results")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
        json.dump(document, f, indent=1, sort_keys=True)
        f.write("\n")

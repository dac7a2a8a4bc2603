#!/usr/bin/env python3
"""Power cuts on real file systems: freshet in a virtual machine with a real kernel, whose power goes at random moments.

Each round: writers on the host update and delete over HTTP, snapshots and compactions run, then qemu is killed: the guest's memory is gone,
with its page cache, and the disk (disk.py) loses of its own write cache what the round's fate says. The machine boots on the same disk (and in some rounds
loses power again while it does), the file system recovers, `freshet verify` must be content, and everything is compared with everything that
was acknowledged, as in tests/crash/kill_loop.py: lost, duplicated, resurrected, requests in part. At the end the file system itself is checked.
usage: power_cut.py --binary freshet [--rounds N] [--fs ext4,xfs,btrfs] [--seed S] [--mutant]      last line: N passed, N failed (rounds)
  --mutant   freshet's fdatasync and fsync do nothing: passes when that is caught
exit 77 and a reason when no such machine can be had
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))
import disk  # noqa: E402
import guest  # noqa: E402
import kill_loop  # noqa: E402

NO_SYNC = "int fdatasync(int fd) { (void)fd; return 0; }\nint fsync(int fd) { (void)fd; return 0; }\n"


class Loop(kill_loop.Loop):
    def __init__(self, arguments, server):
        super().__init__(arguments, server)
        self.recovery_cuts = arguments.recovery_cuts

    def kill_recovery(self):
        """The power goes again while the file system recovers, `freshet verify` looks, or freshet recovers; maybe several times."""
        while self.random.random() < self.recovery_cuts:
            self.server.start(ready=False)
            self.server.wait_mounting()
            time.sleep(self.random.uniform(0, self.server.open_s))
            self.server.kill()
            self.totals["recovery_kills"] += 1

    def round(self, number):
        wrong = super().round(number)
        return wrong + self.server.complaints()


def build_mutant(folder):
    source, made = os.path.join(folder, "no_sync.c"), os.path.join(folder, "no_sync.so")
    with open(source, "w", encoding="ascii") as out:
        out.write(NO_SYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source], check=True)
    return made


def run(arguments, file_system, kernel, preload):
    server = guest.Guest(arguments.binary, kernel, file_system, arguments.seed, options=arguments.mount, arguments=["--snapshot-interval", "2"],
                         preload=preload, fates=arguments.fates.split(","))
    server.keep = arguments.keep
    begun = time.monotonic()
    try:
        failed = Loop(arguments, server).run()
    except (RuntimeError, kill_loop.Failure) as error:  # it does not start any more, or a collection is gone
        print(f"{file_system} (seed {arguments.seed}): {error}")
        failed = 1
    if arguments.mutant and not arguments.keep:
        shutil.rmtree(server.folder, ignore_errors=True)
    print(f"{file_system}: {server.boots} boots, cuts by what became of the disk's cache: {server.cuts}, {time.monotonic() - begun:.0f} s", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=10, help="for each file system")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fs", default="ext4,xfs,btrfs")
    parser.add_argument("--mount", default="defaults", help="mount options")
    parser.add_argument("--fates", default=",".join(disk.FATES), help="of what the disk's cache holds at a cut")
    parser.add_argument("--recovery-cuts", type=float, default=0.3, help="how often a boot loses power, too")
    parser.add_argument("--mutant", action="store_true")
    parser.add_argument("--kernel", default=os.path.join("build", "power"), help="folder that keeps the unpacked kernel")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--keys", type=int, default=150, help="of each writer")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--collections", type=int, default=3)
    parser.add_argument("--longest-ms", type=int, default=1500, help="before a cut")
    parser.add_argument("--keep", action="store_true", help="keep the disk")
    arguments = parser.parse_args()
    file_systems = arguments.fs.split(",")
    reason = guest.missing(file_systems)
    if reason is not None:
        print(f"skipped: {reason}")
        return 77
    try:
        kernel = guest.fetch_kernel(arguments.kernel)
    except (subprocess.CalledProcessError, OSError, IndexError, RuntimeError) as error:
        print(f"skipped: no kernel: {error}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        wrong = disk.check(folder)
        if wrong:
            print("\n".join(wrong))
            return 1
        preload = build_mutant(folder) if arguments.mutant else None
        failed = [f for f in file_systems if run(arguments, f, kernel, preload)]
    if arguments.mutant:
        print(f"without fdatasync: caught on {len(failed)} of {len(file_systems)} file systems")
        print(f"{len(failed)} passed, {len(file_systems) - len(failed)} failed")
        return 0 if len(failed) == len(file_systems) else 1
    print(f"{len(file_systems) - len(failed)} file systems passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

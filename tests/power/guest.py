"""A virtual machine that runs freshet on a real file system, and whose power can be cut.

A Debian kernel (fetched and unpacked, nothing is installed or booted here) with an initramfs made on the spot: busybox, the kernel's modules for
the disk, the network and the file system, freshet with the libraries that ldd names, and a small init. The guest's port is qemu's user network,
forwarded to 127.0.0.1; its console is a file. `Guest` is used as `live.Server` is.
"""
import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import disk  # noqa: E402
import live  # noqa: E402

KERNEL = "linux-image-cloud-amd64"
PORT = 19530  # in the guest
MODULES = ["virtio_pci", "virtio_blk", "virtio_net"]
WITH = {"ext4": [], "xfs": ["libcrc32c", "xfs"], "btrfs": ["crc32c_generic", "libcrc32c", "xxhash_generic", "sha256_generic", "blake2b_generic", "btrfs"]}
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}
CHECK = {"ext4": ["e2fsck", "-f", "-n"], "xfs": ["xfs_repair", "-n"], "btrfs": ["btrfs", "check", "--readonly"]}
BROKEN = re.compile(r"EXT4-fs error|EXT4-fs warning|XFS.*(?:orruption|shut down|Metadata)|BTRFS (?:error|critical)|I/O error|Kernel panic|BUG:|Oops")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /data /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
for module in $(cat /modules/order); do insmod /modules/$module.ko || echo "POWER cannot load $module"; done
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
echo "POWER mounting"
mount -t @FS@ -o @OPTIONS@ /dev/vda /data || { echo "POWER cannot mount"; poweroff -f; }
echo "POWER mounted $(cut -d' ' -f1 /proc/uptime)"
status=none
if [ -d /data/freshet ]; then /freshet verify --quiet /data/freshet; status=$?; fi
echo "POWER verified $status"
@PRELOAD@/freshet serve --data /data/freshet --listen 0.0.0.0:@PORT@ --insecure @ARGUMENTS@ &
server=$!
echo "POWER serving $(cut -d' ' -f1 /proc/uptime)"
read order </dev/ttyS0
kill -TERM $server
wait $server
echo "POWER ended $?"
/freshet verify --quiet /data/freshet
echo "POWER verified $?"
umount /data && echo "POWER unmounted"
poweroff -f
"""


def missing(file_systems):
    """Why this cannot run here, or None."""
    if platform.machine() != "x86_64":
        return f"only x86_64 has a kernel package here, this is {platform.machine()}"
    for tool in ["qemu-system-x86_64", "busybox", "ldd", "apt-get", "dpkg-deb"] + [MAKE[f][0] for f in file_systems] + [CHECK[f][0] for f in file_systems]:
        if shutil.which(tool, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin") is None:
            return f"{tool} is not installed (scripts/deps.sh power)"
    return None


def has_kvm():
    """Of the processor's own kind: where /dev/kvm is another (pvm, inside some virtual machines), a usual kernel does not boot on it."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and any(os.path.isdir(f"/sys/module/kvm_{kind}") for kind in ("intel", "amd"))


def kernel_package():
    depends = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    return found.group(1) if found else None


def fetch_kernel(folder):
    """The kernel's path and its modules' folder; fetched by name from Debian the first time."""
    found = glob.glob(os.path.join(folder, "root/boot/vmlinuz-*"))
    if not found:
        os.makedirs(folder, exist_ok=True)
        name = kernel_package()
        if name is None:  # its lists may be missing, or old
            subprocess.run(["apt-get", "-qq", "update"], check=True, capture_output=True)
            name = kernel_package()
        if name is None:
            raise RuntimeError(f"apt knows no {KERNEL}")
        subprocess.run(["apt-get", "-qq", "download", name], cwd=folder, check=True, capture_output=True)
        package = glob.glob(os.path.join(folder, "linux-image-*.deb"))[0]
        unpacked = tempfile.mkdtemp(prefix="root-", dir=folder)
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        os.unlink(package)
        os.rename(unpacked, os.path.join(folder, "root"))
        found = glob.glob(os.path.join(folder, "root/boot/vmlinuz-*"))
    return found[0], glob.glob(os.path.join(folder, "root/lib/modules/*"))[0]


def module_order(folder, wanted):
    """(name, path) of the modules wanted, each after what it depends on. What is built into the kernel has no file."""
    paths = {os.path.basename(p)[:-3].replace("-", "_"): p for p in glob.glob(os.path.join(folder, "kernel/**/*.ko"), recursive=True)}
    order = {}

    def add(name):
        if name in order or name not in paths:
            return
        with open(paths[name], "rb") as module:
            depends = re.search(rb"\0depends=([^\0]*)\0", module.read())
        for other in depends.group(1).decode().split(",") if depends else []:
            add(other.replace("-", "_"))
        order[name] = paths[name]

    for name in wanted:
        add(name)
    return list(order.items())


class Archive:
    """A cpio archive of the kind the kernel unpacks ("newc")."""

    def __init__(self):
        self.parts = []
        self.folders = set()

    def entry(self, name, mode, data=b""):
        fields = [len(self.parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        part = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        part += bytes(-len(part) % 4) + data
        self.parts.append(part + bytes(-len(part) % 4))

    def folder(self, name):
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self.entry(name, 0o040755)

    def add(self, name, path):
        self.folder(os.path.dirname(name))
        with open(path, "rb") as source:
            self.entry(name, 0o100755, source.read())

    def write(self, path):
        self.entry("TRAILER!!!", 0)
        with open(path, "wb") as out:  # not compressed: that would cost more than it saves
            out.writelines(self.parts)


def libraries(program):
    """The files that the loader will look for, the loader among them."""
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+)", lines)))


def make_initramfs(path, binary, modules, init, preload=None):
    archive = Archive()
    archive.add("bin/busybox", shutil.which("busybox"))
    for name, file in modules:
        archive.add(f"modules/{name}.ko", file)
    for library in libraries(binary):
        archive.add(library[1:], os.path.realpath(library))
    archive.add("freshet", binary)
    if preload is not None:
        archive.add("preload.so", preload)
    folder = os.path.dirname(path)
    for name, text in (("init", init), ("modules/order", "\n".join(n for n, _ in modules) + "\n")):
        made = os.path.join(folder, "made")
        with open(made, "w", encoding="utf-8") as out:
            out.write(text)
        archive.add(name, made)
    archive.write(path)


class Guest:
    """One machine with one disk. start() boots and waits for readiness, kill() cuts the power, stop() goes down in order."""

    def __init__(self, binary, kernel, file_system, seed, options="defaults", megabytes=512, arguments=(), preload=None, fates=disk.FATES):
        self.folder = tempfile.mkdtemp(prefix="freshet-power-", dir=os.environ.get("FRESHET_TEST_DIR"))
        self.keep = False
        self.process = None
        self.port = live.free_port()
        self.console = os.path.join(self.folder, "console")
        self.numbers = live.random.Random(f"{seed}/{file_system}")
        self.fates, self.cuts = fates, {}
        self.file_system = file_system
        self.boots = 0
        self.open_s = 1.0  # from mounting to readiness, the last time
        self.from_ = 0  # where this boot's lines begin in the console
        self.image = os.path.join(self.folder, "disk.img")
        with open(self.image, "wb") as image:
            image.truncate(megabytes << 20)
        subprocess.run([*MAKE[file_system], self.image], check=True, capture_output=True, env=_environment())
        self.disk = disk.Disk(self.image, os.path.join(self.folder, "nbd"))
        vmlinuz, modules = kernel
        self.initramfs = os.path.join(self.folder, "initramfs")
        init = INIT.replace("@FS@", file_system).replace("@OPTIONS@", options).replace("@PORT@", str(PORT)).replace("@ARGUMENTS@", " ".join(arguments))
        init = init.replace("@PRELOAD@", "LD_PRELOAD=/preload.so " if preload else "")
        make_initramfs(self.initramfs, os.path.abspath(binary), module_order(modules, MODULES + WITH[file_system]), init, preload)
        self.command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "768", "-smp", "1",
            "-kernel", vmlinuz, "-initrd", self.initramfs, "-append", "console=ttyS0 quiet loglevel=5 panic=-1 cryptomgr.notests mitigations=off nokaslr no_timer_check random.trust_cpu=on",
            "-blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={self.disk.path}", "-device", "virtio-blk-pci,drive=disk,write-cache=on",
            "-device", "virtio-net-pci,netdev=net,romfile=", "-serial", "stdio"]
        self.fast = has_kvm()
        self.command += ["-accel", "kvm", "-cpu", "host"] if self.fast else ["-accel", "tcg", "-cpu", "Nehalem,+rdrand"]
        self.patience = 60 if self.fast else 600  # seconds until it is ready; of a machine that has nothing else to do, two or ten

    def client(self, timeout=60):
        return live.Client(self.port, timeout)

    def start(self, ready=True):
        for attempt in range(5):
            self.from_ = os.path.getsize(self.console) if os.path.exists(self.console) else 0
            self.boots += 1
            with open(self.console, "ab") as console:
                self.process = subprocess.Popen([*self.command, "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:{PORT}"],
                                                stdin=subprocess.PIPE, stdout=console, stderr=console, preexec_fn=live.die_with_parent)
            if not ready:
                return
            try:
                self.wait_ready()
                return
            except RuntimeError:
                if attempt == 4 or "Could not set up host forwarding" not in self.lines():
                    raise
                self.port = live.free_port()

    def wait_line(self, text, until):
        while text not in self.lines():
            self.alive(until)
            time.sleep(0.02)

    def wait_mounting(self):
        self.wait_line("POWER mounting", time.monotonic() + self.patience)

    def wait_ready(self):
        until = time.monotonic() + self.patience
        self.wait_line("POWER mounting", until)
        begun = time.monotonic()
        self.wait_line("POWER serving", until)  # before it the guest's network answers nothing
        while True:
            self.alive(until)
            try:
                client = self.client(timeout=5)
                status, _ = client.raw("GET", "/readyz")
                client.close()
                if status == 200:
                    self.open_s = time.monotonic() - begun
                    return
            except live.ERRORS:
                pass
            time.sleep(0.02)

    def alive(self, until):
        if self.process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the machine is not ready (qemu's status {self.process.returncode}):\n{self.lines()[-3000:]}")

    def lines(self):
        """The console since the last boot."""
        with open(self.console, "rb") as console:
            console.seek(self.from_)
            return console.read().decode("utf-8", "replace")

    def tail(self, size=4000):
        return self.lines()[-size:]

    def kill(self):
        """The power cut: qemu dies where it is, then the disk loses what it had not been told to keep."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        fate = self.numbers.choice(self.fates)
        self.cuts[fate] = self.cuts.get(fate, 0) + 1
        return self.disk.cut(fate, self.numbers.random())

    def complaints(self):
        """What the kernel or `freshet verify` said in this boot."""
        text = self.lines()
        wrong = [f"console: {line.strip()}" for line in text.splitlines() if BROKEN.search(line)]
        return wrong + [f"freshet verify ended with {status}" for status in re.findall(r"POWER verified (\d+)", text) if status != "0"]

    def stop(self):
        """SIGTERM in the guest, unmount, power off; then the file system is checked from outside. 0 when all is well."""
        self.process.stdin.write(b"stop\n")
        self.process.stdin.close()
        self.process.wait(self.patience + 60)
        ended = re.search(r"POWER ended (\d+)", self.lines())
        self.disk.stats()  # it has taken everything
        self.disk.cut("kept", 0)
        self.disk.close()
        checked = subprocess.run([*CHECK[self.file_system], self.image], capture_output=True, text=True, env=_environment())
        if "POWER unmounted" not in self.lines() or checked.returncode:
            print(f"{' '.join(CHECK[self.file_system])} ended with {checked.returncode}: {checked.stdout[-2000:]}{checked.stderr[-1000:]}")
            return 1
        return int(ended.group(1)) if ended else 1

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.disk.close()
        if kind is not None:
            print(f"--- the console's end ({self.folder})\n{self.tail()}", flush=True)
        elif not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def _environment():
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/sbin:/usr/sbin"}

"""A disk with a volatile write cache, for a virtual machine: an NBD server over a unix socket, in a process of its own.

Writes stay in a list until the guest flushes; then they go to the image file, in order. A power cut loses what is in the list, as a fate says:
  kept      all of it reaches the platter (only what the guest held in memory is lost)
  lost      none of it
  writes    each write by the toss of a coin: the disk has reordered them
  torn      each sector of each write by the toss of a coin
  prefix    the first so many writes, the one after them half
A sector has 4 KiB, as those of today's disks: file systems rely on one being written whole (btrfs's superblock is one). The simulation (tests/sim) tears
freshet's files at 512 bytes. Nothing else is ever lost: a write with FUA is flushed with what came before, and what was answered to a flush stands in the image.
"""
import multiprocessing
import os
import random
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from live import die_with_parent  # noqa: E402

FATES = ("kept", "lost", "writes", "torn", "prefix")
SECTOR = 4096
FLAGS = 1 | 4 | 8  # has flags, takes flushes, takes FUA
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1  # of a request's flags


def sectors_of(offset, data):
    """(offset, bytes) of a write's parts, cut where sectors end."""
    at = 0
    while at < len(data):
        size = SECTOR - (offset + at) % SECTOR
        yield offset + at, data[at:at + size]
        at += size


class Cache:
    """The image and what is not on it yet. Without sockets, so that it can be tested."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.pending = []  # (offset, bytes), oldest first
        self.flushes = self.writes = self.lost_sectors = self.kept_sectors = 0

    def read(self, offset, length):
        data = bytearray(os.pread(self.file, length, offset))
        for at, part in self.pending:
            begin, end = max(at, offset), min(at + len(part), offset + length)
            if begin < end:
                data[begin - offset:end - offset] = part[begin - at:end - at]
        return bytes(data)

    def write(self, offset, data, fua=False):
        self.writes += 1
        self.pending.append((offset, data))
        if fua:
            self.flush()

    def flush(self):
        self.flushes += 1
        for offset, data in self.pending:
            os.pwrite(self.file, data, offset)
        self.pending = []

    def cut(self, fate, numbers):
        """The power is gone: what survives of the list, in the order it came."""
        prefix = numbers.randrange(len(self.pending) + 1) if fate == "prefix" else 0
        for index, (offset, data) in enumerate(self.pending):
            parts = list(sectors_of(offset, data))
            if fate == "prefix":
                keep = [index < prefix or (index == prefix and s * 2 < len(parts)) for s in range(len(parts))]
            elif fate == "torn":
                keep = [numbers.random() < 0.5 for _ in parts]
            else:
                keep = [fate == "kept" or (fate == "writes" and numbers.random() < 0.5)] * len(parts)
            for kept, (at, part) in zip(keep, parts):
                if kept:
                    os.pwrite(self.file, part, at)
            self.kept_sectors += sum(keep)
            self.lost_sectors += len(parts) - sum(keep)
        self.pending = []


def _exactly(connection, length):
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        got = connection.recv_into(view[done:])
        if not got:
            raise EOFError
        done += got
    return bytes(data)


def _greet(connection, size):
    """NBD's fixed newstyle negotiation, as far as qemu uses it: EXPORT_NAME and GO."""
    connection.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 1 | 2))
    no_zeroes = struct.unpack(">I", _exactly(connection, 4))[0] & 2
    while True:
        _, option, length = struct.unpack(">QII", _exactly(connection, 16))
        _exactly(connection, length)
        if option == 1:  # EXPORT_NAME
            connection.sendall(struct.pack(">QH", size, FLAGS) + (b"" if no_zeroes else bytes(124)))
            return
        if option == 7:  # GO
            info = struct.pack(">HQH", 0, size, FLAGS)
            connection.sendall(struct.pack(">QIII", 0x3e889045565a9, option, 3, len(info)) + info)
            connection.sendall(struct.pack(">QIII", 0x3e889045565a9, option, 1, 0))
            return
        connection.sendall(struct.pack(">QIII", 0x3e889045565a9, option, 0x80000001, 0))  # not known


def _serve(connection, cache, lock):
    try:
        _greet(connection, cache.size)
        while True:
            _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", _exactly(connection, 28))
            data = _exactly(connection, length) if kind == WRITE else b""
            error, answer = 0, b""
            with lock:
                if kind == READ:
                    answer = cache.read(offset, length)
                elif kind == WRITE:
                    cache.write(offset, data, flags & FUA)
                elif kind == FLUSH:
                    cache.flush()
                elif kind == DISCONNECT:
                    return
                else:
                    error = 22
            connection.sendall(struct.pack(">IIQ", 0x67446698, error, handle) + answer)
    except (EOFError, OSError):
        pass  # a request that was half here has not reached the disk
    finally:
        connection.close()


def _run(image, path, orders):
    die_with_parent()
    cache, lock, current = Cache(image), threading.Lock(), []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    orders.send("up")

    def accept():
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=_serve, args=(connection, cache, lock), daemon=True)
            thread.start()
            current.append(thread)

    threading.Thread(target=accept, daemon=True).start()
    while True:
        try:
            order = orders.recv()
        except EOFError:
            return
        for thread in current:
            thread.join(10)  # the machine is off: its connection ends
        current.clear()
        with lock:
            if order[0] == "cut":
                cache.cut(order[1], random.Random(order[2]))
            orders.send({"writes": cache.writes, "flushes": cache.flushes, "unflushed": len(cache.pending),
                         "lost_sectors": cache.lost_sectors, "kept_sectors": cache.kept_sectors})


class Disk:
    """The server's process. cut() and stats() are called when no machine runs."""

    def __init__(self, image, path):
        self.path = path
        self.orders, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=_run, args=(image, path, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.orders.recv()

    def cut(self, fate, seed):
        self.orders.send(("cut", fate, seed))
        return self.orders.recv()

    def stats(self):
        self.orders.send(("stats",))
        return self.orders.recv()

    def close(self):
        self.process.terminate()
        self.process.join()


def check(folder):
    """What is flushed stays, what is not is lost as the fate says, by whole sectors, and reads see the newest. Complaints."""
    wrong = []
    path = os.path.join(folder, "check.img")
    for fate in FATES:
        with open(path, "wb") as out:
            out.write(b"a" * 8 * SECTOR)
        cache = Cache(path)
        cache.write(0, b"b" * 4 * SECTOR)
        cache.flush()
        cache.write(2 * SECTOR, b"c" * 4 * SECTOR)
        cache.write(4 * SECTOR, b"d" * SECTOR)
        cache.write(7 * SECTOR + 512, b"e" * 512, fua=fate == "kept")
        now = b"bbccdcae"
        image = cache.read(0, 8 * SECTOR)
        if bytes(image[i * SECTOR + 600] for i in range(8)) != now or image[7 * SECTOR] != ord("a"):
            wrong.append(f"{fate}: a read does not see what was written last")
        cache.cut(fate, random.Random(3))
        with open(path, "rb") as file:
            after = file.read()
        os.close(cache.file)
        whole = bytes(after[i * SECTOR + 600] for i in range(8))
        if whole[:2] != b"bb" or whole[6:7] != b"a" or any(len(set(after[i * SECTOR:(i + 1) * SECTOR])) != 1 for i in range(7)):
            wrong.append(f"{fate}: what was flushed, or never written, has changed, or a sector is torn")
        if fate == "kept" and whole != now:
            wrong.append("kept: something is lost")
        if fate == "lost" and whole != b"bbbbaaaa":
            wrong.append("lost: something is kept")
        if fate == "torn" and whole in (now, b"bbbbaaaa"):
            wrong.append("torn: all is kept or lost")
    os.unlink(path)
    return wrong

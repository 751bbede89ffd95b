#!/usr/bin/env python3
"""bench_etcd.py BUILD: our three members and three of Debian's etcd-server, side by side, taking turns
under the same load (novacron-bench), and ratios between them. DESIGN's "Must reach" names what
they should be; docs/benchmarks.md says what was measured.

FULL=1 takes the full sizes (some 15 minutes); else a few minutes. DIR=... is where the disks are.
ONLY=load,memory,kill,single leaves the other parts out.
"""

import multiprocessing
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from local_cluster import Cluster
from local_etcd import Etcd, post

FULL = os.environ.get("FULL") == "1"
ONLY = os.environ.get("ONLY", "load,memory,single,kill").split(",")
ROUNDS = 5 if FULL else 3
SECONDS = 5 if FULL else 2
KEYS = 100000 if FULL else 20000
PUTS = 500000 if FULL else 100000
KILLS = 30
ETCD_KILLS = 5
CLIENTS = (1, 64, 256)
TICKS = os.sysconf("SC_CLK_TCK")


def report(name, value, unit):
    print(f"{name}: {value:.4g} {unit}", flush=True)


class OneOf:
    """A cluster of which clients know one member."""

    def __init__(self, cluster, endpoint):
        self.processes = cluster.processes
        self.endpoints = endpoint


class Ours(Cluster):
    def __init__(self, directory, build):
        super().__init__(directory, build)
        self.ports = [m.client_port for m in self.members]

    @property
    def processes(self):
        return [m.process for m in self.members]

    def kill_leader(self):
        leader = self.leader()
        leader.process.kill()
        began = time.monotonic()
        leader.kill()
        return self.members.index(leader), began

    def restart(self, i):
        self.members[i].start()


def cpu_seconds(cluster):
    spent = 0
    for process in cluster.processes:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICKS


def resident_bytes(cluster):
    total = 0
    for process in cluster.processes:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            total += int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024
    return total / len(cluster.processes)


def load(build, cluster, kind, clients, *more):
    """Runs the load; what it printed, as numbers, and the CPU of the cluster for each call."""
    command = [build / "bench/novacron-bench", kind, "--endpoints", cluster.endpoints,
               "--clients", str(clients), "--value-bytes", "256", *more]
    before = cpu_seconds(cluster)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent = cpu_seconds(cluster) - before
    found = dict(re.findall(r"^(rate|p50|p99|max|failures|calls): ([\d.]+)", done.stdout, re.M))
    result = {name: float(value) for name, value in found.items()}
    result["cpu"] = spent / max(result["calls"], 1) * 1e6
    return result


def median(results, name):
    return statistics.median(r[name] for r in results)


def bench_load(build, ours, etcd):
    print(f"load: {ROUNDS} rounds of {SECONDS} s each, taking turns; values of 256 bytes, keys "
          f"drawn from {KEYS}; connections to all members; medians of the rounds")
    for clients in CLIENTS:
        for kind, name in (("put", "put"), ("range", "read")):
            rounds = {"ours": [], "etcd": []}
            for _ in range(ROUNDS):
                for who, cluster in (("ours", ours), ("etcd", etcd)):
                    rounds[who].append(load(build, cluster, kind, clients, "--seconds",
                                            str(SECONDS), "--key-space", str(KEYS)))
            for who, results in rounds.items():
                print(f"  {who:5} {name:4} {clients:3} clients: {median(results, 'rate'):9.0f} /s  "
                      f"p50 {median(results, 'p50'):7.3f} ms  p99 {median(results, 'p99'):7.3f} ms "
                      f" CPU {median(results, 'cpu'):6.1f} us  "
                      f"failures {sum(r['failures'] for r in results):.0f}", flush=True)
            ratios = {n: median(rounds["ours"], n) / median(rounds["etcd"], n)
                      for n in ("rate", "p50", "p99", "cpu")}
            report(f"etcd_{name}_ratio_c{clients}", ratios["rate"], "times")
            report(f"etcd_{name}_p50_ratio_c{clients}", ratios["p50"], "times")
            report(f"etcd_{name}_p99_ratio_c{clients}", ratios["p99"], "times")
            report(f"etcd_cpu_per_{name}_ratio_c{clients}", ratios["cpu"], "times")


def compact(cluster):
    """All but the newest 10,000 revisions, as a controller would."""
    port = cluster.ports[0]
    status = post(port, "/v3/kv/range", {"key": "YQ=="})
    revision = int(status["header"]["revision"]) - 10000
    if revision > 1:
        post(port, "/v3/kv/compaction", {"revision": str(revision), "physical": True}, 60)
    time.sleep(0.5)


def fill(build, cluster, compacts):
    """The puts, in ten parts; what is resident in the end."""
    for part in range(10):
        load(build, cluster, "put", 256, "--total", str(PUTS // 10), "--key-space", str(KEYS),
             "--seed", str(part))
        if compacts:
            compact(cluster)
    return resident_bytes(cluster)


def bench_memory(build, directory):
    print(f"memory: resident, mean of three members, after {PUTS} puts of 256 bytes to {KEYS} keys, "
          "of new clusters; compacted ten times on the way, as Kubernetes does, but for the newest "
          "10,000 revisions, and without")
    for name, compacts in (("etcd_rss_ratio", True), ("etcd_rss_uncompacted_ratio", False)):
        found = []
        for kind in ("ours", "etcd"):
            place = tempfile.mkdtemp(dir=directory)
            cluster = Ours(place, build) if kind == "ours" else Etcd(place)
            try:
                cluster.start()
                cluster.leader()
                found.append(fill(build, cluster, compacts))
            finally:
                cluster.stop()
        print(f"  {'compacted' if compacts else 'not compacted'}: ours {found[0] / 1e6:.1f} MB, "
              f"etcd {found[1] / 1e6:.1f} MB", flush=True)
        report(name, found[0] / found[1], "times")


def sync_loop(path, seconds, out):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 64 << 20)
    os.fsync(fd)
    block, at, times = bytes(512), 0, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        os.pwrite(fd, block, at)
        os.fdatasync(fd)
        times.append(time.perf_counter() - began)
        at = (at + 512) % (64 << 20)
    os.close(fd)
    out.put(statistics.median(times))


def sync_limit(directory):
    out = multiprocessing.Queue()
    loops = [multiprocessing.Process(target=sync_loop, args=(f"{directory}/sync-{i}", 2, out))
             for i in range(3)]
    for process in loops:
        process.start()
    medians = sorted(out.get() for _ in loops)
    for process in loops:
        process.join()
    return medians[1]


def round_trip():
    a, b = socket.create_server(("127.0.0.1", 0)), None
    client = socket.create_connection(a.getsockname())
    b, _ = a.accept()

    def echo():
        while b.recv(64):
            b.sendall(b"x")

    thread = threading.Thread(target=echo)
    thread.start()
    times = []
    for _ in range(2000):
        began = time.perf_counter()
        client.sendall(b"x")
        client.recv(64)
        times.append(time.perf_counter() - began)
    client.close()
    thread.join()
    return statistics.median(times)


def bench_single(build, ours, directory):
    print("single: one client against the disk's and the loopback's limit")
    single = load(build, OneOf(ours, ours.leader().client_url), "put", 1, "--seconds",
                  str(SECONDS))
    syncs, trip = sync_limit(directory), round_trip()
    limit = (syncs + 2 * trip) * 1e3
    print(f"  put {single['p50']:.3f} ms; a sync {syncs * 1e3:.3f} ms, a round trip "
          f"{trip * 1e3:.3f} ms, both of a Python process: limit {limit:.3f} ms")
    report("etcd_single_limit_ratio", single["p50"] / limit, "times")


def time_to_write(cluster, began, dead):
    """From `began` to the first put that some survivor acknowledges; clients ask again after half a
    second without an answer."""
    done, first = threading.Event(), []

    def writer(port):
        while not done.is_set():
            body = {"key": "a2lsbA==", "value": "eA=="}
            if post(port, "/v3/kv/put", body, 0.5) is not None:
                first.append(time.monotonic() - began)
                done.set()
            else:
                time.sleep(0.005)

    ports = [port for i, port in enumerate(cluster.ports) if i != dead]
    threads = [threading.Thread(target=writer, args=(port,)) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return min(first)


def bench_kill(ours, etcd):
    print(f"kill: kill -9 of the leader to the next acknowledged put, {KILLS} times ours, "
          f"{ETCD_KILLS} times etcd")
    for prefix, cluster, count in (("", ours, KILLS), ("etcd_", etcd, ETCD_KILLS)):
        times = []
        for _ in range(count):
            dead, began = cluster.kill_leader()
            times.append(time_to_write(cluster, began, dead))
            cluster.restart(dead)
            time.sleep(1.0)
        report(f"{prefix}leader_kill_p50_s", statistics.median(times), "s")
        report(f"{prefix}leader_kill_max_s", max(times), "s")


def main():
    build = Path(sys.argv[1]).resolve()
    if shutil.which("etcd") is None:
        print("bench-etcd: etcd is not installed (package etcd-server); nothing was measured")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = tempfile.mkdtemp(prefix="novacron-bench-", dir=os.environ.get("DIR", "/var/tmp"))
    ours, etcd = Ours(directory, build), Etcd(directory)
    version = subprocess.run(["etcd", "--version"], capture_output=True, text=True).stdout
    print(f"{version.splitlines()[0]}; three members each, plaintext on loopback, fsync on, data "
          f"below {directory}")
    try:
        if "memory" in ONLY:
            bench_memory(build, directory)
        ours.start()
        etcd.start()
        ours.leader()
        etcd.leader()
        if "load" in ONLY:
            bench_load(build, ours, etcd)
        if "single" in ONLY:
            bench_single(build, ours, directory)
        if "kill" in ONLY:
            bench_kill(ours, etcd)
    finally:
        ours.stop()
        etcd.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

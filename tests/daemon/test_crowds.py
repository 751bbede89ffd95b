#!/usr/bin/env python3
"""test_crowds.py BUILD: 10,000 idle watches on few connections and on a thousand, thousands that are
reset at once, and connections that come and go in bursts: what they cost in memory, whether they
leave anything behind, and whether puts go on meanwhile.
"""

import socket
import statistics
import subprocess
import sys

from checks import soon
from history_clients import Putter, coded, post, report
from scene import memory_kib, open_files, with_cluster

WATCHES = 10_000
PATIENCE = 60
MEMORY_PER_WATCH = 3000  # bytes, with its stream
MEMORY_PER_CONNECTION = 24_000  # beside its streams and watches
MEMORY_LEFT_MIB = 24  # after all have gone, above what there was before
LATENCY = 1.0  # s: the slowest put by one that puts all the while, on a busy machine


class Crowd:
    def __init__(self, build, member, connections, streams, watches):
        command = [build / "tests/daemon/watch-crowd", f"{member.host}:{member.client_port}",
                   connections, streams, watches]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.line()

    def line(self):
        said = self.process.stdout.readline().strip()
        assert said and not said.startswith("lost"), f"the crowd says {said!r}"
        return said

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.line()

    def events(self):
        return int(self.tell("events").split()[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def watch(build, member, connections, streams, watches, per_watch):
    """Idle watches: what they take, that all of them hear, and that nothing stays behind."""
    count = connections * streams * watches
    name = f"{count}_watches_on_{connections}_connections"
    files, before = open_files(member), memory_kib(member)
    crowd = Crowd(build, member, connections, streams, watches)
    try:
        held = (memory_kib(member) - before) * 1024
        most = count * per_watch + connections * MEMORY_PER_CONNECTION
        post(member, "/v3/kv/put", {"key": coded("watched"), "value": coded("x")})
        heard = soon(lambda: crowd.events() == count, PATIENCE)
    finally:
        crowd.close()
    gone = soon(lambda: open_files(member) <= files, PATIENCE)
    left = memory_kib(member) - before
    print(f"# {name}: {held / count:.0f} bytes each; {left} KiB left when they have gone")
    return [(held < most, f"{name}_take_little"), (heard, f"{name}_hear_of_a_put"),
            (gone, f"{name}_leave_no_descriptor"),
            (left < MEMORY_LEFT_MIB * 1024 + held // 1024 // 4, f"{name}_leave_no_memory")]


def cancels(build, member):
    """Clients that watch reset their streams by the thousand when their caches go."""
    crowd = Crowd(build, member, 1, 4000, 1)
    try:
        said = [crowd.tell("cancel") for _ in range(3)]
        post(member, "/v3/kv/put", {"key": coded("watched"), "value": coded("y")})
        heard = soon(lambda: crowd.events() == 4000, PATIENCE)
    finally:
        crowd.close()
    return [(said == ["ready"] * 3 and heard, "4000_streams_are_reset_at_once_and_opened_anew")]


def burst(member, count):
    """Connections that are opened all at once, say a word or nothing, and are dropped."""
    sockets = []
    for number in range(count):
        s = socket.create_connection((member.host, member.client_port), timeout=PATIENCE)
        if number % 3 == 1:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        elif number % 3 == 2:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        sockets.append(s)
    for number, s in enumerate(sockets):
        if number % 2:  # a reset instead of an end
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()


def bursts(member):
    files, before = open_files(member), memory_kib(member)
    for _ in range(4):
        burst(member, 1000)
    gone = soon(lambda: open_files(member) <= files, PATIENCE)
    left = memory_kib(member) - before
    print(f"# 4 bursts of 1000 connections left {left} KiB")
    return [(gone, "bursts_of_connections_leave_no_descriptor"),
            (left < MEMORY_LEFT_MIB * 1024, "bursts_of_connections_leave_no_memory")]


def run(cluster):
    build = cluster.build
    cluster.start()
    leader = cluster.leader()
    putter = Putter([leader])
    putter.start()
    try:
        results = watch(build, leader, 1, 1, WATCHES, 1000)
        results += watch(build, leader, 10, WATCHES // 10, 1, MEMORY_PER_WATCH)
        results += watch(build, leader, 1000, 1, WATCHES // 1000, MEMORY_PER_WATCH)
        results += cancels(build, leader)
        results += bursts(leader)
    finally:
        putter.over.set()
        putter.join()
    spans = sorted(putter.spans)
    print(f"# {len(spans)} puts meanwhile: median {statistics.median(spans) * 1000:.1f} ms, "
          f"slowest {spans[-1] * 1000:.0f} ms")
    results.append((not putter.bad and spans[-1] < LATENCY, "puts_go_on_beside_crowds"))
    return report(results)


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""test_hostile.py BUILD: garbage, slowness and greed on every port of members that serve others all
the while. Who behaves is served as if they were not there; memory stays within bounds; whoever says
nothing of worth is sent away, and leaves nothing behind. And clients never take the descriptors that
the log needs.

NOVACRON_SEED chooses the garbage. NOVACRON_SCALE above 1 waits for the slow timeouts, too.
"""

import http.client
import json
import os
import random
import resource
import select
import socket
import statistics
import struct
import sys
import threading
import time

from checks import soon
from history_clients import Putter, coded, post, put_works, report
from scene import memory_kib, open_files, with_cluster

from local_cluster import Cluster

CROWD = 150  # of each kind, at a time
HANDSHAKE_TIMEOUT = 10  # s, of the API; 5 of the peers' port
REQUEST_TIMEOUT = 30
PATIENCE = 40
MEMORY_MIB = 160  # above what was there before
REJOINS = 4  # s, less than the silent may be silent at the peers' port
LATENCY = 1.5  # s: of 99 in 100 puts beside all of this, on a busy machine
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, body):
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


SETTINGS = frame(4, 0, 0, b"")


# --- who does not behave ---------------------------------------------------------------------------
# Each kind: what it says at first, and what it says then, each second; None: nothing.

def silent(rng):
    return b"", None


def noise(rng):
    return rng.randbytes(rng.randrange(1, 3000)), rng.randbytes(200)


def slow_header(rng):
    return b"GET /health HTTP/1.1\r\nX-A: ", b"a"


def slow_body(rng):
    return (b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000\r\n\r\n{"), b" "


def huge_body(rng):
    return b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 60000


def endless_header(rng):
    return b"GET /" + b"x" * 60000, b"x" * 60000


def half_preface(rng):
    return PREFACE[:rng.randrange(1, len(PREFACE))], None


def idle_http2(rng):
    return PREFACE + SETTINGS, None


def huge_frame(rng):
    return PREFACE + SETTINGS + b"\xff\xff\xff\0\0\0\0\0\1" + b"x" * 10000, b"x" * 10000


def bad_frames(rng):
    frames = b"".join(frame(rng.randrange(12), rng.randrange(256), rng.randrange(20),
                            rng.randbytes(rng.randrange(60))) for _ in range(40))
    return PREFACE + SETTINGS + frames, None


def settings_flood(rng):
    return PREFACE + SETTINGS * 3000, SETTINGS * 3000


def hello_of_tls(rng):
    """The beginning of a ClientHello, of which the rest does not come."""
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(40), rng.randbytes(1)


KINDS = [silent, noise, slow_header, slow_body, huge_body, endless_header, half_preface, idle_http2,
         huge_frame, bad_frames, settings_flood, hello_of_tls]


class Horde(threading.Thread):
    """CROWD of each kind at a port, that come back when they are sent away, until it is over."""

    def __init__(self, host, port, kinds, seed, crowd):
        super().__init__()
        self.at = (host, port)
        self.rng = random.Random(seed)
        self.kinds = kinds * crowd
        self.over = threading.Event()
        self.sent_away = 0

    def open(self, kind):
        s = socket.socket()
        s.settimeout(5)
        try:
            s.connect(self.at)
            first, then = kind(self.rng)
            s.setblocking(False)
            s.send(first)
        except OSError:
            return [s, kind, None]
        return [s, kind, then]

    def step(self, one):
        s, kind, then = one
        try:
            if then:
                s.send(then)
            while s.recv(65536):
                pass
        except BlockingIOError:
            return one
        except OSError:
            pass
        self.sent_away += 1
        s.close()
        return self.open(kind)

    def run(self):
        all_of_them = [self.open(kind) for kind in self.kinds]
        while not self.over.wait(0.5):
            all_of_them = [self.step(one) for one in all_of_them]
        for s, _, _ in all_of_them:
            s.close()


class Glutton(threading.Thread):
    """Asks for much, and reads none of it."""

    def __init__(self, member, count):
        super().__init__()
        self.member = member
        self.count = count
        self.over = threading.Event()

    def run(self):
        body = b'{"key":"' + coded("big").encode() + b'"}'
        request = (b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
        sockets = []
        for _ in range(self.count):
            s = socket.create_connection((self.member.host, self.member.client_port), timeout=5)
            s.setblocking(False)
            sockets.append(s)
        while not self.over.wait(0.1):
            for s in sockets:
                try:
                    s.send(request * 50)
                except OSError:
                    pass
        for s in sockets:
            s.close()


def siege(cluster, seed, seconds):
    """All of that at all ports of all members: what becomes of those who behave?"""
    leader = cluster.leader()
    restarted = next(m for m in cluster.members if m is not leader)
    members = [m for m in cluster.members if m is not restarted] + [restarted]
    putter = Putter(members[:-1])
    post(members[0], "/v3/kv/put", {"key": coded("big"), "value": coded("x" * 1_000_000)})
    put_works(members[0])
    files = {m.name: open_files(m) for m in members}
    before = {m.name: memory_kib(m) / 1024 for m in members}
    terms = [m.raft()["term"] for m in members]
    hordes = [Horde(m.host, m.client_port, KINDS, f"{seed}/{m.name}", CROWD // len(KINDS))
              for m in members]
    hordes += [Horde(m.host, m.peer_port, [silent, noise, hello_of_tls], f"{seed}/{m.name}/peer",
                     CROWD) for m in members]
    hordes += [Glutton(m, 20) for m in members]
    most = dict(before)
    for thread in [putter, *hordes]:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.2)
        most = {m.name: max(most[m.name], memory_kib(m) / 1024) for m in members}
    restarted.kill()  # its streams have to be opened anew, in the middle of it
    restarted.start()
    began = time.monotonic()
    rejoins = soon(lambda: put_works(restarted), PATIENCE) and time.monotonic() - began
    for thread in [putter, *hordes]:
        thread.over.set()
    for thread in [putter, *hordes]:
        thread.join()
    gone = soon(lambda: all(open_files(m) <= files[m.name] + 4 for m in members), PATIENCE)
    grown = {name: round(most[name] - before[name]) for name in before}
    spans = sorted(putter.spans)
    print(f"# {len(spans)} puts: median {statistics.median(spans) * 1000:.1f} ms, p99 "
          f"{spans[len(spans) * 99 // 100] * 1000:.0f} ms, slowest {spans[-1] * 1000:.0f} ms; "
          f"{len(putter.bad)} failed {putter.bad[:3]}; memory grew by {grown} MiB; "
          f"{sum(getattr(h, 'sent_away', 0) for h in hordes)} were sent away")
    print(f"# the one that was restarted served after {rejoins:.2f} s")
    return [([m.raft()["term"] for m in members] == terms,
             "nobody_loses_the_lead_to_a_siege"),
            (spans[len(spans) * 99 // 100] < LATENCY and not putter.bad,
             "who_behaves_is_served_in_a_siege"),
            (max(grown.values()) < MEMORY_MIB, "memory_is_bounded_in_a_siege"),
            (0 < rejoins < REJOINS, "a_member_finds_its_peers_in_a_siege"),
            (gone, "a_siege_leaves_no_descriptor")]


class Silent:
    """Who says nothing, or next to it, and is to be sent away by itself."""

    def __init__(self, member, scale):
        rng = random.Random(1)
        kinds = [silent, half_preface, noise, slow_header] + ([slow_body] if scale > 1 else [])
        self.end = time.monotonic() + (REQUEST_TIMEOUT if scale > 1 else HANDSHAKE_TIMEOUT) + 5
        self.waiting = {}
        for kind in kinds:
            self.open(member.host, member.client_port, kind, rng)
        for kind in (silent, noise):
            self.open(member.host, member.peer_port, kind, rng)

    def open(self, host, port, kind, rng):
        s = socket.create_connection((host, port))
        s.sendall(kind(rng)[0])
        self.waiting[s] = kind

    def result(self):
        while self.waiting and time.monotonic() < self.end:
            for s in select.select(list(self.waiting), [], [], 0.5)[0]:
                try:
                    gone = not s.recv(65536)
                except OSError:
                    gone = True
                if gone:
                    self.waiting.pop(s)
                    s.close()
        left = [kind.__name__ for kind in self.waiting.values()]
        for s in self.waiting:
            s.close()
        return not left, f"who_says_nothing_is_sent_away {left}"


def connect_many(host, port, count):
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((host, port))
        sockets.append(s)
    return sockets


def scarce(build, directory):
    """A member that may open few files: its log goes on, however many clients come."""
    limit, puts = 256, 150  # two segments and a snapshot
    cluster = Cluster(directory, build, size=1, extra="snapshot_entries: 100\n")
    member = cluster.members[0]
    member.prefix = ["prlimit", f"--nofile={limit}:{limit}"]
    works = 0
    try:
        cluster.start()
        cluster.leader()
        good = http.client.HTTPConnection(member.host, member.client_port, timeout=10)
        body = json.dumps({"key": coded("k"), "value": coded("x" * 1_000_000)})
        good.connect()
        crowd = connect_many(member.host, member.client_port, 2 * limit)
        crowd += connect_many(member.host, member.peer_port, limit)
        time.sleep(0.3)
        try:
            for _ in range(puts):
                good.request("POST", "/v3/kv/put", body)
                answer = good.getresponse()
                answer.read()
                works += answer.status == 200
        except (OSError, http.client.HTTPException) as error:
            print(f"# {error!r}")
        for s in crowd:
            s.close()
        again = soon(lambda: put_works(member), PATIENCE)
        print(f"# with {limit} descriptors: {works} of {puts} puts, {member.process.poll()}")
        return [(works == puts and again, "clients_never_take_what_the_log_needs")]
    finally:
        if works < puts:
            print(member.log.read_text()[-1500:])
        cluster.stop()


def run(cluster, seed, scale):
    cluster.start()
    cluster.leader()
    quiet = Silent(cluster.leader(), scale)
    results = siege(cluster, seed, 6 * scale)
    results.append(quiet.result())
    few = cluster.dir / "few"
    few.mkdir()
    results += scarce(cluster.build, few)
    return report(results)


def main():
    seed = os.environ.get("NOVACRON_SEED") or str(random.randrange(1 << 32))
    scale = float(os.environ.get("NOVACRON_SCALE", "1"))
    print(f"# seed {seed}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return with_cluster(lambda cluster: run(cluster, seed, scale))


if __name__ == "__main__":
    sys.exit(main())

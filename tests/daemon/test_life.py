#!/usr/bin/env python3
"""test_life.py BUILD: a rolling restart of daemons under load, and a daemon under what systemd does:
its notifications, its watchdog, a log that nobody reads. Under a minute.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from history_clients import coded
from scene import PATIENCE, Scene, check, expect, run_checks, until

from local_cluster import ROOT, Cluster

WATCHDOG_S = 0.4
WRITERS = 4

# linux/ptrace.h
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # linux/wait.h


class Writer(threading.Thread):
    """Puts one key after another until it is told to stop, each again at the next member for as long
    as it takes; remembers which were acknowledged, and how long the slowest took.
    """

    def __init__(self, name, members):
        super().__init__(daemon=True)
        self.prefix = name
        self.members = members
        self.is_over = False
        self.count = 0
        self.retries = 0
        self.slowest = 0.0
        self.failure = None

    def put(self, member, key, value):
        body = {"key": coded(key), "value": coded(value)}
        request = urllib.request.Request(member.client_url + "/v3/kv/put",
                                         json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())["header"]["revision"]

    def run(self):
        at = 0
        while not self.is_over and not self.failure:
            key = f"{self.prefix}-{self.count}"
            begun = time.monotonic()
            while True:
                try:
                    self.put(self.members[at % len(self.members)], key, str(self.count))
                    break
                except LookupError:
                    self.failure = f"{key}: an answer without a revision"
                    return
                except (OSError, ValueError):
                    at += 1
                    self.retries += 1
                    if time.monotonic() - begun > PATIENCE:
                        self.failure = key
                        return
                    time.sleep(0.01)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.count += 1


@check
def a_rolling_restart_under_load_fails_no_write(build):
    with Scene(build) as scene:
        writers = [Writer(f"w{i}", scene.members[i % 3:] + scene.members[:i % 3])
                   for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        for member in scene.members:
            time.sleep(1)
            expect(member.stop(), 0)
            member.start()
            until("it is ready", lambda m=member: (m.raft() or {}).get("ready") == "true")
            leader = scene.cluster.leader(PATIENCE)
            wanted = until("it answers", leader.raft)["committed"]
            until("it has caught up", lambda m=member: (m.raft() or {}).get("applied", 0) >= wanted)
        time.sleep(1)
        for writer in writers:
            writer.is_over = True
        for writer in writers:
            writer.join()
            expect(writer.failure, None)
            assert writer.count > 20, writer.count
        kept = scene.run("kv", "get", "w", "--prefix", "--keys-only", members=scene.members)
        wanted = sum(w.count for w in writers)
        expect(len(kept.stdout.split()), wanted)
        print(f"# {wanted} writes through three restarts, {sum(w.retries for w in writers)} tried "
              f"again, the slowest {max(w.slowest for w in writers):.2f} s")


class Systemd:
    """What of systemd a service sees: a socket for notifications, and a watchdog."""

    def __init__(self, build, stderr=None):
        self.dir = Path(tempfile.mkdtemp(prefix="novacron-test-"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.dir / "notify"))
        self.cluster = Cluster(self.dir, build, 1)
        self.member = self.cluster.members[0]
        self.env = {**self.cluster.env, "NOTIFY_SOCKET": str(self.dir / "notify"),
                    "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        self.stderr = stderr or open(self.member.log, "ab")

    def __enter__(self):
        self.process = subprocess.Popen([self.cluster.program, "--config", self.member.config],
                                        stderr=self.stderr, env=self.env)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def hears(self, seconds, until_word=None):
        """Everything that is said in so many seconds, or until this word."""
        said = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                said += self.socket.recv(4096).decode().split("\n")
            except TimeoutError:
                break
            if until_word in said:
                break
        return said


@check
def tells_systemd_that_it_is_ready_alive_and_stopping(build):
    with Systemd(build) as systemd:
        said = systemd.hears(PATIENCE, "READY=1")
        assert "READY=1" in said and any(s.startswith("STATUS=") for s in said), said
        alive = systemd.hears(3).count("WATCHDOG=1")
        assert 3 / (WATCHDOG_S / 2) * 0.5 <= alive <= 3 / (WATCHDOG_S / 2) + 2, alive
        systemd.process.send_signal(signal.SIGHUP)
        said = systemd.hears(PATIENCE, "READY=1")
        assert [s for s in said if s != "WATCHDOG=1"] == ["RELOADING=1", "READY=1"], said
        systemd.process.send_signal(signal.SIGTERM)
        assert "STOPPING=1" in systemd.hears(PATIENCE, "STOPPING=1")
        expect(systemd.process.wait(PATIENCE), 0)


def hold_the_loop(process):
    """Stops the one thread of the loop, while the others go on. False: it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, process.pid, None, None) != 0:
        return None
    libc.ptrace(PTRACE_INTERRUPT, process.pid, None, None)
    os.waitpid(process.pid, WALL)
    return lambda: libc.ptrace(PTRACE_DETACH, process.pid, None, None)


@check
def a_loop_that_stands_feeds_no_watchdog(build):
    with Systemd(build) as systemd:
        systemd.hears(PATIENCE, "READY=1")
        let_go = hold_the_loop(systemd.process)
        if let_go is None:
            print("# no ptrace here: the whole process is stopped instead")
            systemd.process.send_signal(signal.SIGSTOP)
            let_go = lambda: systemd.process.send_signal(signal.SIGCONT)
        systemd.hears(0.2)  # what was under way
        expect(systemd.hears(5 * WATCHDOG_S), [])
        let_go()
        assert "WATCHDOG=1" in systemd.hears(PATIENCE, "WATCHDOG=1")


@check
def a_log_that_nobody_reads_does_not_stop_the_loop(build):
    for pair in (os.pipe(), [s.detach() for s in socket.socketpair()]):
        reader, writer = pair
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        with Systemd(build, stderr=writer) as systemd:
            assert "READY=1" in systemd.hears(PATIENCE, "READY=1")
            for _ in range(20):
                systemd.process.send_signal(signal.SIGHUP)
                assert "READY=1" in systemd.hears(PATIENCE, "READY=1")
            assert "WATCHDOG=1" in systemd.hears(PATIENCE, "WATCHDOG=1")
        os.close(reader)
        os.close(writer)


@check
def systemd_finds_nothing_wrong_with_the_unit(build):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        print("# systemd-analyze is not installed")
        return
    directory = Path(tempfile.mkdtemp(prefix="novacron-test-"))
    try:
        unit = directory / "novacrond.service"
        unit.write_text((ROOT / "deploy/novacrond.service").read_text().replace(
            "/usr/sbin/novacrond", str(build / "backend/novacrond/novacrond")))
        drop_in = directory / "novacrond.service.d"
        drop_in.mkdir()
        shutil.copy(ROOT / "deploy/novacrond-machines.conf", drop_in / "machines.conf")
        done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True,
                              timeout=PATIENCE, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"})
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "novacrond" in line]
        expect((ours, done.returncode), ([], 0))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(run_checks())

#!/usr/bin/env python3
"""test_faults.py BUILD: three processes under load, killed, stopped and halted at random moments. What
the clients saw must be linearizable (novacron-sim check): nothing acknowledged is lost, nothing read
is out of date; and after the last fault all three must hold the same state.

NOVACRON_SEED chooses the faults; NOVACRON_SCALE multiplies the time, 12 s.
"""

import base64
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from local_cluster import Cluster

CLIENTS = 8
KEYS = 5
CALL_PATIENCE = 3
SETTLE_PATIENCE = 20


def coded(text):
    return base64.b64encode(text.encode()).decode()


class History:
    def __init__(self):
        self.lines = []
        self.lock = threading.Lock()
        self.processes = 0
        self.began = time.monotonic_ns()

    def process(self):
        with self.lock:
            self.processes += 1
            return self.processes

    def event(self, process, kind, function, key, value, more=""):
        if isinstance(value, list):
            shown = f"[{value[0]} {value[1]}]"
        else:
            shown = "nil" if value is None else str(value)
        with self.lock:
            at = time.monotonic_ns() - self.began
            self.lines.append(f"{{:process {process}, :type :{kind}, :f :{function}, :key {key}, "
                              f":value {shown}, :time {at}{more}}}")


class Client(threading.Thread):
    """One call after the other at members chosen at random."""

    def __init__(self, number, cluster, history, end, seed):
        super().__init__()
        self.random = random.Random(seed)
        self.number = number
        self.cluster = cluster
        self.history = history
        self.end = end
        self.process = history.process()
        self.counter = 0
        self.answered = 0
        self.last = {}
        self.connections = {}

    def post(self, port, path, body):
        """The answer; None where nobody knows what became of it."""
        connection = self.connections.pop(port, None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_PATIENCE)
        try:
            connection.request("POST", path, json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        self.connections[port] = connection
        return json.loads(text) if answer.status == 200 else None

    def call(self, function, key, value, path, body, read):
        self.history.event(self.process, "invoke", function, key, value)
        answer = self.post(self.random.choice(self.cluster.members).client_port, path, body)
        if answer is None:
            kind = "fail" if function == "read" else "info"
            self.history.event(self.process, kind, function, key, value)
            if kind == "info":
                self.process = self.history.process()
            time.sleep(0.01)
            return
        self.answered += 1
        value, more = read(answer)
        self.history.event(self.process, "ok", function, key, value,
                           f", :revision {answer['header']['revision']}{more}")

    def read(self, key):
        def taken(answer):
            kvs = answer.get("kvs", [])
            if not kvs:
                self.last[key] = None
                return None, ""
            self.last[key] = int(base64.b64decode(kvs[0]["value"]))
            return self.last[key], f", :mod-revision {kvs[0]['mod_revision']}"
        self.call("read", key, None, "/v3/kv/range", {"key": coded(f"k{key}")}, taken)

    def fresh(self):
        self.counter += 1
        return self.counter * CLIENTS + self.number + 1

    def write(self, key):
        value = self.fresh()
        self.call("write", key, value, "/v3/kv/put",
                  {"key": coded(f"k{key}"), "value": coded(str(value))}, lambda _: (value, ""))

    def exchange(self, key):
        expected, value = self.last.get(key), self.fresh()
        if expected is None:
            self.read(key)
            return
        name = coded(f"k{key}")
        body = {"compare": [{"target": "VALUE", "key": name, "value": coded(str(expected))}],
                "success": [{"request_put": {"key": name, "value": coded(str(value))}}]}
        self.call("cas", key, [expected, value], "/v3/kv/txn", body,
                  lambda answer: ([expected, value],
                                  "" if answer.get("succeeded") else ", :missed true"))

    def run(self):
        while time.monotonic() < self.end:
            action = self.random.choices((self.read, self.write, self.exchange), (4, 4, 2))[0]
            action(self.random.randrange(KEYS))


def kill(cluster, victim, rng):
    victim.kill()
    time.sleep(rng.uniform(0, 0.6))
    victim.start()


def freeze(cluster, victim, rng):
    victim.send(signal.SIGSTOP)
    time.sleep(rng.uniform(0.1, 2.5))
    victim.send(signal.SIGCONT)


def restart(cluster, victim, rng):
    assert victim.stop() == 0, f"{victim.name} did not stop as it was told"
    victim.start()


def kill_all(cluster, victim, rng):
    for member in cluster.members:
        member.kill()
    for member in cluster.members:
        member.start()


def strike(cluster, rng, end):
    """Faults one after the other; what was done, for the log."""
    done = []
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.1, 0.8))
        fault = rng.choices((kill, freeze, restart, kill_all), (5, 3, 2, 1))[0]
        leads = [m for m in cluster.members if (m.raft() or {}).get("role") == "leader"]
        victim = leads[0] if leads and rng.random() < 0.6 else rng.choice(cluster.members)
        fault(cluster, victim, rng)
        done.append(f"{fault.__name__} {victim.name}")
    return done


def states_agree(cluster):
    """Do all hold the same, as far as one can see from outside?"""
    end = time.monotonic() + SETTLE_PATIENCE
    hashes = []
    while time.monotonic() < end:
        hashes = []
        for member in cluster.members:
            connection = http.client.HTTPConnection("127.0.0.1", member.client_port, timeout=5)
            try:
                connection.request("POST", "/v3/maintenance/hashkv", "{}")
                hashes.append(json.loads(connection.getresponse().read()))
            except (OSError, ValueError):
                pass
            finally:
                connection.close()
        said = {(h.get("hash"), h["header"]["revision"]) for h in hashes if "header" in h}
        if len(hashes) == len(cluster.members) and len(said) == 1:
            return True
        time.sleep(0.1)
    print(f"# hashes: {hashes}")
    return False


def run(cluster, build, seed, seconds):
    rng = random.Random(seed)
    history = History()
    cluster.start()
    cluster.leader()
    end = time.monotonic() + seconds
    clients = [Client(i, cluster, history, end + 1, f"{seed}/{i}") for i in range(CLIENTS)]
    for client in clients:
        client.start()
    done = strike(cluster, rng, end)
    for client in clients:
        client.join()
    cluster.leader(SETTLE_PATIENCE)
    path = cluster.dir / "history"
    path.write_text("\n".join(history.lines) + "\n")
    answered = sum(client.answered for client in clients)
    print(f"# seed {seed}: {answered} calls answered through {len(done)} faults: {', '.join(done)}")
    verdict = subprocess.run([build / "cli/sim/novacron-sim", "check", path], capture_output=True,
                             text=True, timeout=60)
    results = [(verdict.returncode == 0, "clients_saw_one_linearizable_history"),
               (answered > 100, "most_of_the_time_somebody_answers"),
               (states_agree(cluster), "all_members_hold_the_same_in_the_end")]
    for number, (is_right, name) in enumerate(results, 1):
        print(f"{'ok' if is_right else 'not ok'} {number} - {name}")
    if verdict.returncode != 0:
        print(verdict.stdout + verdict.stderr)
    return all(is_right for is_right, _ in results)


def main():
    build = Path(sys.argv[1]).resolve()
    seed = os.environ.get("NOVACRON_SEED") or str(random.randrange(1 << 32))
    seconds = 12 * float(os.environ.get("NOVACRON_SCALE", "1"))
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Cluster(directory, build, extra="snapshot_entries: 500\n")
    is_right = False
    try:
        is_right = run(cluster, build, seed, seconds)
    finally:
        if not is_right:
            for member in cluster.members:
                print(f"# {member.name}:\n" + member.log.read_text()[-3000:])
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())

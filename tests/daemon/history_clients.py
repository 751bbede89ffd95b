"""Clients whose history can be judged: what they asked and heard, for `novacron-sim check`."""

import base64
import http.client
import json
import random
import subprocess
import threading
import time

CALL_PATIENCE = 3
SETTLE_PATIENCE = 20
CLIENTS = 8
KEYS = 5


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
        self.refused = {}  # how often each text was heard
        self.random = random.Random(seed)
        self.number = number
        self.crowd = CLIENTS
        self.cluster = cluster
        self.history = history
        self.end = end
        self.process = history.process()
        self.counter = 0
        self.answered = 0
        self.last = {}
        self.connections = {}

    def post(self, member, path, body):
        """The answer; None where nobody knows what became of it."""
        connection = self.connections.pop(member.name, None)
        if connection is None:
            connection = http.client.HTTPConnection(member.host, member.client_port,
                                                    timeout=CALL_PATIENCE)
        try:
            connection.request("POST", path, json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        self.connections[member.name] = connection
        if answer.status != 200:
            self.hear(text)
            return None
        return json.loads(text)

    def hear(self, text):
        try:
            said = json.loads(text).get("message", "")
        except ValueError:
            said = repr(text[:80])
        self.refused[said] = self.refused.get(said, 0) + 1

    def call(self, function, key, value, path, body, read):
        self.history.event(self.process, "invoke", function, key, value)
        answer = self.post(self.random.choice(self.cluster.members), path, body)
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
        return self.counter * self.crowd + self.number + 1

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


def states_agree(cluster):
    """Do all hold the same, as far as one can see from outside?"""
    end = time.monotonic() + SETTLE_PATIENCE
    hashes = []
    while time.monotonic() < end:
        hashes = []
        for member in cluster.members:
            connection = http.client.HTTPConnection(member.host, member.client_port, timeout=5)
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


def post(member, path, body, patience=10):
    """One call by itself: (HTTP's status, the answer)."""
    connection = http.client.HTTPConnection(member.host, member.client_port, timeout=patience)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def judge(history, build, path):
    """(it is linearizable, what the checker says)"""
    path.write_text("\n".join(history.lines) + "\n")
    done = subprocess.run([build / "cli/sim/novacron-sim", "check", path], capture_output=True,
                          text=True, timeout=60)
    return done.returncode == 0, done.stdout + done.stderr


def begin(cluster, seed, end):
    """Clients that call until `end`, and their history."""
    history = History()
    clients = [Client(i, cluster, history, end, f"{seed}/{i}") for i in range(CLIENTS)]
    for client in clients:
        client.start()
    return history, clients


def put_works(member, patience=CALL_PATIENCE):
    try:
        body = {"key": coded("probe"), "value": coded("x")}
        return post(member, "/v3/kv/put", body, patience)[0] == 200
    except (OSError, ValueError):
        return False


class Putter(threading.Thread):
    """Somebody who behaves: one put after the other, at one member after the other; how long each
    took, and what failed.
    """

    def __init__(self, members):
        super().__init__()
        self.members = members
        self.over = threading.Event()
        self.spans = []
        self.bad = []

    def run(self):
        turn = 0
        while not self.over.wait(0.005):
            member = self.members[turn % len(self.members)]
            turn += 1
            began = time.monotonic()
            try:
                status, answer = post(member, "/v3/kv/put",
                                      {"key": coded("good"), "value": coded("x" * 100)})
                if status != 200:
                    self.bad.append(answer)
            except (OSError, ValueError) as error:
                self.bad.append(repr(error))
            self.spans.append(time.monotonic() - began)


def report(results, details=""):
    """TAP; were all right?"""
    print(f"1..{len(results)}")
    for number, (is_right, name) in enumerate(results, 1):
        print(f"{'ok' if is_right else 'not ok'} {number} - {name}")
    good = all(is_right for is_right, _ in results)
    if not good and details:
        print("# " + details.replace("\n", "\n# "))
    return good

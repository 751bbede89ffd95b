#!/usr/bin/env python3
"""Sends one random history of requests to two servers of the etcd v3 API, and compares the answers.

    etcd_compare.py OURS THEIRS [SEED [REQUESTS]]      host:port each, both of them fresh

Requests go to the JSON gateways: puts, ranges, deletes, nested txns, compactions and leases, on few
keys, with revisions around the present one and with whatever options there are. Answers must be
equal but for the ids of cluster and member, the term, the TTL that is left, and how an error lays
out its text; errors must have the same text and code. Prints the differences, and exits with 1
where there are any, with 77 where a server cannot be reached.

docs/store.md and docs/etcd-api.md say where the answers differ on purpose; such requests are not
made. Nor are puts with ignore_value or ignore_lease beside deletes up to "\\0" in one txn: etcd 3.4
does not survive them.
"""

import base64
import json
import random
import sys
import urllib.error
import urllib.request

KEYS = ["a", "b", "c", "aa", "ab", "k1", "k2", "\x00", "\xff", "zz"]
LEASES = [101, 102, 103]
NO_LEASE = 999
DIFFERENCES_MAX = 8
SKIPPED = 77


def encoded(text):
    return base64.b64encode(text.encode("latin1")).decode()


class Requests:
    """Draws requests; `revision` is where the history is."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1

    def chance(self, p):
        return self.random.random() < p

    def key(self):
        return encoded(self.random.choice(KEYS))

    def end(self, allows_all=True):
        return encoded(self.random.choice(KEYS + (["\x00"] if allows_all else [])))

    def near(self, back, ahead=0):
        return max(0, self.revision - self.random.randint(-ahead, back))

    def range(self):
        r = {"key": self.key()}
        if self.chance(0.4):
            r["range_end"] = self.end()
        if self.chance(0.2):
            r["limit"] = self.random.randint(0, 4)
        if self.chance(0.2):
            r["revision"] = self.near(20, 1)
        if self.chance(0.3):
            r["sort_target"] = self.random.choice(["KEY", "VERSION", "CREATE", "MOD"])
            r["sort_order"] = self.random.choice(["ASCEND", "DESCEND"])
        for flag in ("keys_only", "count_only", "serializable"):
            if self.chance(0.1):
                r[flag] = True
        for bound in ("min_mod", "max_mod", "min_create", "max_create"):
            if self.chance(0.07):
                r[bound + "_revision"] = self.near(15)
        return r

    def put(self, ignores=True):
        r = {"key": self.key(), "value": encoded(f"v{self.random.randint(0, 9)}")}
        if self.chance(0.2):
            r["lease"] = self.random.choice(LEASES + [NO_LEASE])
        if self.chance(0.3):
            r["prev_kv"] = True
        if ignores and self.chance(0.07):
            r["ignore_value"] = True
            if self.chance(0.8):
                del r["value"]
        if ignores and self.chance(0.05):
            r["ignore_lease"] = True
        if self.chance(0.02):
            r["key"] = ""
        return r

    def delete(self, allows_all=True):
        r = {"key": self.key()}
        if self.chance(0.3):
            r["range_end"] = self.end(allows_all)
        if self.chance(0.3):
            r["prev_kv"] = True
        return r

    def compare(self):
        target = self.random.choice(["VERSION", "CREATE", "MOD", "VALUE", "LEASE"])
        value = {
            "VERSION": ("version", self.random.randint(0, 3)),
            "CREATE": ("create_revision", self.random.choice([0, self.near(9)])),
            "MOD": ("mod_revision", self.random.choice([0, self.near(9)])),
            "VALUE": ("value", encoded(f"v{self.random.randint(0, 9)}")),
            "LEASE": ("lease", self.random.choice([0] + LEASES)),
        }[target]
        result = self.random.choice(["EQUAL", "GREATER", "LESS", "NOT_EQUAL"])
        r = {"key": self.key(), "target": target, "result": result, value[0]: value[1]}
        if self.chance(0.15):
            r["range_end"] = self.end()
        return r

    def operation(self, depth, ignores):
        draw = self.random.random()
        if draw < 0.35:
            return {"request_range": self.range()}
        if draw < 0.75:
            return {"request_put": self.put(ignores)}
        if draw < 0.92 or depth > 2:
            return {"request_delete_range": self.delete(not ignores)}
        return {"request_txn": self.txn(depth + 1, ignores)}

    def txn(self, depth=0, ignores=None):
        ignores = self.chance(0.5) if ignores is None else ignores
        branch = lambda: [self.operation(depth, ignores) for _ in range(self.random.randint(0, 3))]
        compares = [self.compare() for _ in range(self.random.randint(0, 2))]
        return {"compare": compares, "success": branch(), "failure": branch()}

    def next(self):
        draw = self.random.random()
        if draw < 0.25:
            return "kv/put", self.put()
        if draw < 0.5:
            return "kv/range", self.range()
        if draw < 0.6:
            return "kv/deleterange", self.delete()
        if draw < 0.85:
            return "kv/txn", self.txn()
        if draw < 0.88:
            return "kv/compaction", {"revision": self.near(30, 2)}
        if draw < 0.93:
            ttl = self.random.choice([500, 1000, 100000, 9000000001])
            return "lease/grant", {"ID": self.random.choice(LEASES), "TTL": ttl}
        if draw < 0.95:
            return "lease/revoke", {"ID": self.random.choice(LEASES + [NO_LEASE])}
        if draw < 0.97:
            lease = self.random.choice(LEASES + [NO_LEASE])
            return "lease/timetolive", {"ID": lease, "keys": True}
        return "lease/leases", {}


def ask(server, path, body):
    url = f"http://{server}/v3/{path}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        answer = json.loads(error.read())
        return {"message": answer.get("message"), "code": answer.get("code")}


def comparable(answer, path):
    """The answer without what may differ."""
    if isinstance(answer, list):
        return [comparable(item, path) for item in answer]
    if not isinstance(answer, dict):
        return answer
    left_out = {"cluster_id", "member_id", "raft_term"}
    if path == "lease/timetolive":
        left_out.add("TTL")
    items = {k: comparable(v, path) for k, v in answer.items() if k not in left_out}
    for unordered in ("keys", "leases"):
        if unordered in items:
            items[unordered] = sorted(items[unordered], key=str)
    return items


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    ours, theirs = arguments[:2]
    seed = int(arguments[2]) if len(arguments) > 2 else 1
    count = int(arguments[3]) if len(arguments) > 3 else 2000
    requests = Requests(seed)
    differences = 0
    for number in range(count):
        path, body = requests.next()
        try:
            answers = [ask(server, path, body) for server in (ours, theirs)]
        except OSError as error:
            print(f"request {number} of seed {seed}, {path} {json.dumps(body)}: {error}")
            return SKIPPED if number == 0 else 1
        revision = answers[1].get("header", {}).get("revision", 0)
        requests.revision = max(requests.revision, int(revision))
        left, right = (comparable(answer, path) for answer in answers)
        if left != right:
            differences += 1
            print(f"request {number} of seed {seed}: {path} {json.dumps(body)}")
            print(f"  ours:   {json.dumps(left)}\n  theirs: {json.dumps(right)}")
        if differences == DIFFERENCES_MAX:
            break
    print(f"{number + 1} requests of seed {seed}: {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

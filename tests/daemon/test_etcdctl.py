#!/usr/bin/env python3
"""test_etcdctl.py BUILD: Debian's etcdctl against three members of ours: every command that talks to
a server. Ends with 77 where etcdctl is not installed, within a minute, and with all it started.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from local_cluster import Cluster, free_ports

PATIENCE = 15
checks = []


def check(function):
    checks.append(function)
    return function


class Etcdctl:
    def __init__(self, endpoints, *flags):
        self.flags = ["etcdctl", "--endpoints", endpoints, *flags]
        self.env = dict(os.environ, ETCDCTL_API="3")

    def start(self, *args):
        return subprocess.Popen([*self.flags, *args], env=self.env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *args, given=None):
        return subprocess.run([*self.flags, *args], env=self.env, text=True, input=given,
                              capture_output=True, timeout=PATIENCE)

    def __call__(self, *args, given=None):
        done = self.run(*args, given=given)
        assert done.returncode == 0, f"{args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *args):
        done = self.run(*args)
        assert done.returncode != 0, f"{args} went well: {done.stdout}"
        return done.stdout + done.stderr


def expect(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


@check
def puts_gets_and_deletes(cluster, ctl):
    expect(ctl("put", "a", "1"), "OK\n")
    expect(ctl("put", "--prev-kv", "a", "2"), "OK\na\n1\n")
    expect(ctl("get", "a"), "a\n2\n")
    ctl("put", "b", "3")
    expect(ctl("get", "--print-value-only", "a", "c"), "2\n3\n")
    expect(ctl("get", "--keys-only", "--order=DESCEND", "--sort-by=KEY", "a", "c"), "b\n\na\n\n")
    expect(ctl("get", "--rev=2", "a"), "a\n1\n")
    expect(ctl("get", "--consistency=s", "a"), "a\n2\n")
    expect(ctl("del", "--prev-kv", "a"), "1\na\n2\n")
    expect(ctl("del", "--prefix", ""), "1\n")
    expect(ctl("get", "a"), "")


@check
def answers_transactions(cluster, ctl):
    ctl("put", "t", "x")
    txn = 'value("t") = "x"\n\nput t y\nget t\n\nput t z\n\n'
    expect(ctl("txn", given=txn), "SUCCESS\n\nOK\n\nt\ny\n")
    expect(ctl("txn", given=txn).split("\n")[0], "FAILURE")
    expect(ctl("get", "--print-value-only", "t"), "z\n")


@check
def watches_and_goes_back_in_history(cluster, ctl):
    watch = ctl.start("watch", "--prefix", "--rev=1", "w/")
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(watch.stdout))
    reader.start()
    for i in range(20):
        ctl("put", f"w/{i}", str(i))
    ctl("del", "w/0")
    end = time.monotonic() + PATIENCE
    while len(seen) < 63 and time.monotonic() < end:
        time.sleep(0.01)
    watch.kill()
    reader.join()
    watch.communicate()
    wanted = [line for i in range(20) for line in ("PUT\n", f"w/{i}\n", f"{i}\n")]
    expect(seen, wanted + ["DELETE\n", "w/0\n", "\n"])


@check
def keeps_leases_and_ends_them(cluster, ctl):
    lease = ctl("lease", "grant", "2").split()[1]
    ctl("put", "--lease", lease, "l", "1")
    assert "remaining" in ctl("lease", "timetolive", "--keys", lease)
    assert lease in ctl("lease", "list")
    assert "keepalived" in ctl("lease", "keep-alive", "--once", lease)
    end = time.monotonic() + PATIENCE
    while ctl("get", "l") and time.monotonic() < end:
        time.sleep(0.1)
    expect(ctl("get", "l"), "")
    lease = ctl("lease", "grant", "60").split()[1]
    ctl("put", "--lease", lease, "l", "1")
    assert "revoked" in ctl("lease", "revoke", lease)
    expect(ctl("get", "l"), "")
    assert "requested lease not found" in ctl.fails("put", "--lease", lease, "l", "1")


@check
def tells_of_endpoints_and_members(cluster, ctl):
    lines = ctl("endpoint", "status").splitlines()
    expect(len(lines), 3)
    expect(sum(line.split(", ")[4] == "true" for line in lines), 1)
    done = ctl.run("endpoint", "health")
    expect((done.stdout + done.stderr).count("is healthy"), 3)
    hashes = {line.split(", ")[1] for line in ctl("endpoint", "hashkv").splitlines()}
    expect(len(hashes), 1)
    expect(len(ctl("member", "list").splitlines()), 3)
    expect(ctl("alarm", "list"), "")
    ctl("defrag")


@check
def compacts(cluster, ctl):
    ctl("put", "c", "1")
    revision = int(ctl("get", "c", "-w", "json").split('"revision":')[1].split(",")[0])
    ctl("put", "c", "2")
    assert "compacted revision" in ctl("compaction", str(revision + 1))
    assert "required revision has been compacted" in ctl.fails("get", "--rev", str(revision), "c")


@check
def saves_a_snapshot_that_verifies(cluster, ctl):
    path = cluster.dir / "snapshot.db"
    one = Etcdctl(cluster.members[0].client_url)
    one("snapshot", "save", str(path))
    expect(path.stat().st_size % 512, 32)


@check
def locks_and_elects(cluster, ctl):
    expect(ctl("lock", "mutex", "echo", "held"), "held\n")
    holder = ctl.start("lock", "mutex")
    assert holder.stdout.readline().startswith("mutex/")
    waiter = ctl.start("lock", "mutex", "echo", "after")
    time.sleep(0.3)
    assert waiter.poll() is None, "two hold one lock"
    holder.terminate()
    expect(waiter.communicate(timeout=PATIENCE)[0], "after\n")
    holder.communicate()
    leader = ctl.start("elect", "office", "me")
    leader.stdout.readline()
    expect(leader.stdout.readline(), "me\n")
    observer = ctl.start("elect", "--listen", "office")
    observer.stdout.readline()
    expect(observer.stdout.readline(), "me\n")
    for process in (observer, leader):
        process.terminate()
        process.communicate()


@check
def moves_the_leader(cluster, ctl):
    before = cluster.leader()
    target = next(m for m in cluster.members if m is not before)
    moved = Etcdctl(before.client_url)("move-leader", target.raft()["id"])
    assert "transferred" in moved, moved
    assert cluster.leader() is target


@check
def adds_promotes_and_removes_a_member(cluster, ctl):
    client_port, peer_port = free_ports(2)
    added = ctl("member", "add", "node-4", f"--peer-urls=http://127.0.0.1:{peer_port}")
    member_id = added.split()[1]
    member = cluster.add("node-4", client_port, peer_port, "existing", member_id)
    member.start()
    end = time.monotonic() + PATIENCE
    line = ""
    while time.monotonic() < end and not line.endswith("false"):
        line = next((s for s in ctl("member", "list").splitlines() if s.startswith(member_id)), "")
        time.sleep(0.1)
    wanted = f"{member_id}, started, node-4, http://{member.peer}, {member.client_url}, false"
    expect(line, wanted)
    expect(Etcdctl(member.client_url)("get", "--print-value-only", "t"), "z\n")
    assert "removed" in ctl("member", "remove", member_id)
    member.stop()
    cluster.members.remove(member)
    expect(len(ctl("member", "list").splitlines()), 3)


@check
def enables_authentication(cluster, ctl):
    ctl("user", "add", "root:secret")
    ctl("role", "add", "root")
    ctl("user", "grant-role", "root", "root")
    ctl("role", "add", "reader")
    ctl("role", "grant-permission", "--prefix", "reader", "read", "r/")
    ctl("user", "add", "ann:pass")
    ctl("user", "grant-role", "ann", "reader")
    assert "Enabled" in ctl("auth", "enable")
    root = Etcdctl(cluster.endpoints, "--user", "root:secret")
    ann = Etcdctl(cluster.endpoints, "--user", "ann:pass")
    root("put", "r/1", "x")
    expect(ann("get", "r/1"), "r/1\nx\n")
    assert "permission denied" in ann.fails("put", "r/1", "y")
    assert "user name is empty" in ctl.fails("put", "r/1", "y")
    wrong = Etcdctl(cluster.endpoints, "--user", "ann:wrong")
    assert "authentication failed" in wrong.fails("get", "r/1")
    assert "ann" in root("user", "list")
    assert "Disabled" in root("auth", "disable")
    ctl("put", "r/1", "z")


@check
def restarts_one_after_the_other(cluster, ctl):
    ctl("put", "kept", "yes")
    for member in list(cluster.members):
        expect(member.stop(), 0)
        member.start()
        cluster.leader()
        expect(Etcdctl(member.client_url)("get", "--print-value-only", "kept"), "yes\n")


def main():
    if shutil.which("etcdctl") is None:
        print("etcdctl is not installed (package etcd-client)")
        return 77
    if "API version: 3" not in Etcdctl("x")("version"):
        print("this etcdctl does not speak v3")
        return 77
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Cluster(directory, sys.argv[1])
    failed = 0
    try:
        cluster.start()
        cluster.leader()
        ctl = Etcdctl(cluster.endpoints)
        print(f"1..{len(checks)}")
        for number, function in enumerate(checks, 1):
            began = time.monotonic()
            try:
                function(cluster, ctl)
                print(f"ok {number} - {function.__name__} # {time.monotonic() - began:.1f} s",
                      flush=True)
            except (AssertionError, OSError, TimeoutError, subprocess.TimeoutExpired) as e:
                failed += 1
                print(f"not ok {number} - {function.__name__}\n# {e!r}", flush=True)
        if failed:
            for member in cluster.members:
                print(f"# {member.name}:\n" + member.log.read_text()[-2000:])
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

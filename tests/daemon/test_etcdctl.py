#!/usr/bin/env python3
"""test_etcdctl.py BUILD [--long]: Debian's etcdctl against three members of ours: what needs more than
a transcript (test_transcripts.py): time, certificates, full disks, members that come and go. --long
runs what takes more than a minute alone. Ends with 77 where etcdctl is not installed, within a minute,
and with all it started.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from checks import PATIENCE, Checks, expect, run_checks, until
from scene import with_cluster

from local_cluster import Cluster, free_ports

check = Checks()
long_check = Checks()


class Etcdctl:
    def __init__(self, endpoints, *flags):
        self.flags = ["etcdctl", "--endpoints", endpoints, *flags]
        self.env = dict(os.environ, ETCDCTL_API="3")

    def start(self, *args):
        return subprocess.Popen([*self.flags, *args], env=self.env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *args, given=None, patience=PATIENCE):
        return subprocess.run([*self.flags, *args], env=self.env, text=True, input=given,
                              capture_output=True, timeout=patience)

    def __call__(self, *args, **more):
        done = self.run(*args, **more)
        assert done.returncode == 0, f"{args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *args):
        done = self.run(*args)
        assert done.returncode != 0, f"{args} went well: {done.stdout}"
        return done.stdout + done.stderr


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
    ctl("put", "t", "z")
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
def watches_from_now_on(cluster, ctl):
    watch = ctl.start("watch", "now")
    seen = []
    reader = threading.Thread(target=lambda: seen.append(watch.stdout.readline()))
    reader.start()
    end = time.monotonic() + PATIENCE
    while not seen and time.monotonic() < end:
        ctl("put", "now", "x")
    watch.kill()
    reader.join()
    watch.communicate()
    expect(seen, ["PUT\n"])


@check
def refuses_what_grows_when_the_quota_is_used_up(cluster, ctl):
    directory = tempfile.mkdtemp(dir=cluster.dir)
    small = Cluster(directory, cluster.build, size=1, extra="quota_mib: 16\n")
    try:
        small.start()
        small.leader()
        ctl = Etcdctl(small.endpoints)
        end = time.monotonic() + PATIENCE
        done = ctl.run("put", "big/0", given="x" * 1000000)
        number = 0
        while done.returncode == 0 and time.monotonic() < end:
            number += 1
            done = ctl.run("put", f"big/{number}", given="x" * 1000000)
        assert "mvcc: database space exceeded" in done.stderr, done
        until("the alarm is raised", lambda: "alarm:NOSPACE" in ctl("alarm", "list"))
        assert "NOSPACE" in ctl("endpoint", "status")
        assert "space exceeded" in ctl.fails("lease", "grant", "60")
        assert "alarm:NOSPACE" in ctl("alarm", "disarm")
        assert ctl("get", "--prefix", "--keys-only", "big/").startswith("big/0")
        for key in range(number):
            ctl("del", f"big/{key}")
        revision = int(ctl("get", "c", "-w", "json").split('"revision":')[1].split(",")[0])
        ctl("compaction", str(revision))
        until("there is room again", lambda: ctl.run("put", "a", "1").returncode == 0)
        expect(ctl("get", "a"), "a\n1\n")
        expect(ctl("alarm", "list"), "")
    finally:
        small.stop()


@check
def takes_certificates(cluster, ctl):
    secure = Cluster(tempfile.mkdtemp(dir=cluster.dir), cluster.build, size=1, has_tls=True)
    other = Cluster(tempfile.mkdtemp(dir=cluster.dir), cluster.build, size=1, has_tls=True)
    ca = f"--cacert={secure.pki}/ca.crt"
    pair = (f"--cert={secure.pki}/client.crt", f"--key={secure.pki}/client.key")
    address = secure.members[0].client_url
    try:
        secure.start()
        with_certificate = Etcdctl(address, ca, *pair)
        end = time.monotonic() + PATIENCE
        while with_certificate.run("put", "a", "1").returncode != 0 and time.monotonic() < end:
            time.sleep(0.1)
        expect(with_certificate("get", "a"), "a\n1\n")
        bare = Etcdctl(address.replace("https://", ""), ca, *pair, "--insecure-transport=false")
        expect(bare("get", "a"), "a\n1\n")
        expect(Etcdctl(address, ca)("get", "a"), "a\n1\n")
        unverified = Etcdctl(address, "--insecure-transport=false", "--insecure-skip-tls-verify")
        expect(unverified("get", "a"), "a\n1\n")
        for flags in ((), (f"--cacert={other.pki}/ca.crt",)):
            Etcdctl(address, "--command-timeout=1s", *flags).fails("get", "a")
        Etcdctl(address.replace("https", "http"), "--command-timeout=1s").fails("get", "a")

        end = time.monotonic() + PATIENCE
        mirror = ctl.start("make-mirror", "--dest-insecure-transport=false",
                           f"--dest-cacert={secure.pki}/ca.crt",
                           f"--dest-cert={secure.pki}/client.crt",
                           f"--dest-key={secure.pki}/client.key", address)
        while with_certificate("get", "mirrored") == "" and time.monotonic() < end:
            ctl("put", "mirrored", "yes")
        mirror.terminate()
        mirror.communicate()
        expect(with_certificate("get", "mirrored"), "mirrored\nyes\n")

        for words in ("user add root:secret", "role add root", "user grant-role root root",
                      "user add client --no-password", "role add some",
                      "role grant-permission some readwrite c", "user grant-role client some"):
            with_certificate(*words.split())
        with_certificate("auth", "enable")
        with_certificate("put", "c", "by its common name")
        assert "permission denied" in with_certificate.fails("put", "a", "2")
        assert "user name is empty" in Etcdctl(address, ca).fails("put", "c", "2")
    finally:
        secure.stop()


@check
def passes_the_check_of_its_scale(cluster, ctl):
    said = ctl("check", "datascale", "--load=s", "--auto-compact", "--auto-defrag")
    assert "PASS" in said, said


@long_check
def passes_the_check_of_its_speed(cluster, ctl):
    said = ctl("check", "perf", "--load=s", "--auto-compact", "--auto-defrag", patience=180)
    assert "PASS" in said and "FAIL" not in said, said


@check
def restarts_one_after_the_other(cluster, ctl):
    ctl("put", "kept", "yes")
    for member in list(cluster.members):
        expect(member.stop(), 0)
        member.start()
        cluster.leader()
        expect(Etcdctl(member.client_url)("get", "--print-value-only", "kept"), "yes\n")


def run(cluster, chosen):
    cluster.start()
    cluster.leader()
    return run_checks(chosen.functions, (cluster, Etcdctl(cluster.endpoints))) == 0


def main():
    chosen = long_check if sys.argv[2:] == ["--long"] else check
    if shutil.which("etcdctl") is None:
        print("etcdctl is not installed (package etcd-client)")
        return 77
    if "API version: 3" not in Etcdctl("x")("version"):
        print("this etcdctl does not speak v3")
        return 77
    return with_cluster(lambda cluster: run(cluster, chosen))


if __name__ == "__main__":
    sys.exit(main())

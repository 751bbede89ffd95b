#!/usr/bin/env python3
"""test_patroni.py BUILD [--long]: Debian's Patroni, with its etcd3 driver, keeps a PostgreSQL cluster
through three members of ours: bootstrap, switchover, and our leader's death, which must not move it.
--long does so with certificates and users, and has also what the time to live of Patroni's leader (20 s,
the least there is) makes long: failover, and failsafe_mode while all of us are gone. Ends with 77 where
a package is missing, and with all it started; PostgreSQL runs as an unprivileged user.
"""

import base64
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

import checks
from checks import Checks, expect, run_checks
from local_cluster import Cluster, free_ports

PATIENCE = 60
TTL = 20
USERS = ("postgres", "nobody")
SCOPE = "demo"
check = Checks()
long_check = Checks()
last_check = Checks()


def until(what, true_soon):
    def found():
        try:
            return true_soon()
        except (AssertionError, LookupError):
            return None  # what is asked may refuse, or have no leader or no table, for a while

    checks.until(what, found, PATIENCE)


def postgres_programs():
    """Where PostgreSQL's server lives, the newest one; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def as_user(command):
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={user().pw_uid}", f"--regid={user().pw_gid}", "--clear-groups",
            *command]


def user():
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OSError(f"no user to run PostgreSQL as: {', '.join(USERS)}")


class Node:
    """One Patroni with its PostgreSQL."""

    def __init__(self, fleet, name, ports):
        self.fleet = fleet
        self.name = name
        self.rest_port, self.port = ports
        self.dir = fleet.dir / name
        self.dir.mkdir()
        self.config = self.dir / "patroni.yaml"
        self.process = None
        self.config.write_text(json.dumps(self.settings(), indent=1))  # which is YAML, too

    def settings(self):
        connect = f"127.0.0.1:{self.port}"
        return {
            "scope": SCOPE, "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}",
                        "connect_address": f"127.0.0.1:{self.rest_port}"},
            "etcd3": self.fleet.driver,
            "bootstrap": {
                "dcs": {"ttl": TTL, "loop_wait": 1, "retry_timeout": 5, "failsafe_mode": True,
                        "postgresql": {"use_pg_rewind": True, "parameters": {
                            "shared_buffers": "16MB", "max_connections": 20, "fsync": "off",
                            "wal_log_hints": "on", "max_wal_senders": 5}}},
                "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "no-sync"],
            },
            "postgresql": {
                "listen": connect, "connect_address": connect, "data_dir": str(self.dir / "data"),
                "bin_dir": str(self.fleet.programs), "pgpass": str(self.dir / "pgpass"),
                "authentication": {name: {"username": name, "password": name}
                                   for name in ("replication", "superuser", "rewind")},
                "parameters": {"unix_socket_directories": str(self.dir)},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                           "host replication all 127.0.0.1/32 trust"],
            },
        }

    def start(self):
        with open(self.dir / "log", "ab") as log:
            command = as_user(["patroni", str(self.config)])
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.dir,
                                            start_new_session=True)

    def postmaster(self):
        try:
            return int((self.dir / "data/postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return None

    def kill(self):
        """As the loss of the host would."""
        postmaster = self.postmaster()
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if postmaster:
            try:
                os.kill(postmaster, signal.SIGQUIT)
                until(f"end of {self.name}", lambda: not is_alive(postmaster))
            except ProcessLookupError:
                pass

    def sql(self, text):
        command = [self.fleet.programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                   "superuser", "-d", "postgres", "-Atqc", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{self.name}: {text}: {done.stderr}"
        return done.stdout.strip()

    def has_rows(self, count, where="true"):
        return self.sql(f"select count(*) from t where {where}") == str(count)


def is_alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


class Fleet:
    def __init__(self, directory, programs, driver, size):
        self.dir = Path(directory)
        self.programs = programs
        self.driver = driver
        ports = free_ports(2 * size)
        self.nodes = [Node(self, f"pg-{i + 1}", ports[2 * i:2 * i + 2]) for i in range(size)]

    def ctl(self, *args, given=None):
        command = as_user(["patronictl", "-c", str(self.nodes[0].config), *args])
        done = subprocess.run(command, capture_output=True, text=True, input=given, cwd=self.dir,
                              timeout=PATIENCE)
        assert done.returncode == 0, f"patronictl {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def list(self):
        return {row["Member"]: row for row in json.loads(self.ctl("list", "-f", "json"))}

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def is_whole(self, size):
        """One leader, and the others stream from it."""
        rows = self.list().values()
        return (sum(row["Role"] == "Leader" and row["State"] == "running" for row in rows) == 1 and
                sum(row["Role"] == "Replica" and row["State"] in ("running", "streaming")
                    for row in rows) == size - 1 and len({row.get("TL") for row in rows}) == 1)

    def leader(self):
        leads = [row["Member"] for row in self.list().values() if row["Role"] == "Leader"]
        return self.node(leads[0])

    def timeline(self):
        return self.list()[self.leader().name]["TL"]

    def stop(self):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            try:
                if node.process:
                    node.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
            node.kill()


@check
def bootstraps_and_replicates(cluster, fleet):
    fleet.nodes[0].start()
    until("a leader", lambda: fleet.is_whole(1))
    fleet.nodes[1].start()
    until("a replica", lambda: fleet.is_whole(2))
    leader = fleet.leader()
    leader.sql("create table t (n int)")
    leader.sql("insert into t values (1)")
    other = next(node for node in fleet.nodes if node is not leader)
    until("the row on the replica", lambda: other.has_rows(1))


@long_check
def keeps_its_configuration_with_us(cluster, fleet):
    fleet.ctl("edit-config", "--force", "-s", "maximum_lag_on_failover=1234567")
    assert "maximum_lag_on_failover: 1234567" in fleet.ctl("show-config")
    until("a pause", lambda: "Success" in fleet.ctl("pause", "--wait"))
    assert "Maintenance mode: on" in fleet.ctl("list")
    until("its end", lambda: "Success" in fleet.ctl("resume", "--wait"))


@check
def switches_over(cluster, fleet):
    before = fleet.leader()
    candidate = next(node for node in fleet.nodes if node is not before)
    fleet.ctl("switchover", "--master", before.name, "--candidate", candidate.name, "--force")
    until("the switch", lambda: fleet.is_whole(2) and fleet.leader() is candidate)
    candidate.sql("insert into t values (2)")
    assert len(json.loads(fleet.ctl("history", "-f", "json"))) == 1


@check
def does_not_notice_that_our_leader_dies(cluster, fleet):
    leader, timeline = fleet.leader(), fleet.timeline()
    died = cluster.leader()
    died.kill()
    began = time.monotonic()
    written = 0
    while time.monotonic() < began + 6:
        written += 1
        leader.sql(f"insert into t values ({10 + written})")
        time.sleep(0.1)
    assert fleet.leader() is leader and fleet.timeline() == timeline, fleet.list()
    assert "demoted" not in (leader.dir / "log").read_text().split("promoted self")[-1]
    died.start()
    cluster.leader()
    expect(leader.sql("select count(*) from t where n > 10"), str(written))


@long_check
def rides_out_that_one_after_the_other_restarts(cluster, fleet):
    leader, timeline = fleet.leader(), fleet.timeline()
    for member in list(cluster.members):
        expect(member.stop(), 0)
        member.start()
        cluster.leader()
    time.sleep(2)
    assert fleet.leader() is leader and fleet.timeline() == timeline, fleet.list()


@long_check
def fails_over_when_the_primary_dies(cluster, fleet):
    before, timeline = fleet.leader(), fleet.timeline()
    other = next(node for node in fleet.nodes if node is not before)
    rows = before.sql("select count(*) from t")
    until("replication", lambda: other.has_rows(rows))
    before.kill()
    began = time.monotonic()
    until("a failover", lambda: fleet.leader() is other and
               other.sql("select pg_is_in_recovery()") == "f")
    print(f"# failover in {time.monotonic() - began:.1f} s of {TTL}")
    expect(other.sql("select count(*) from t"), rows)
    other.sql("insert into t values (3)")
    before.start()
    until("the return", lambda: fleet.is_whole(2))
    assert fleet.timeline() > timeline
    until("the row", lambda: before.has_rows(1, "n = 3"))


@long_check
def stays_primary_in_failsafe_mode_without_any_of_us(cluster, fleet):
    leader, timeline = fleet.leader(), fleet.timeline()
    for member in cluster.members:
        member.kill()
    began = time.monotonic()
    while time.monotonic() < began + TTL + 10:
        leader.sql("insert into t values (4)")
        time.sleep(0.5)
    assert "failsafe" in (leader.dir / "log").read_text()
    for member in cluster.members:
        member.start()
    cluster.leader()
    until("the return", lambda: fleet.is_whole(2))
    assert fleet.leader() is leader and fleet.timeline() == timeline, fleet.list()


@last_check
def is_removed(cluster, fleet):
    fleet.stop()
    until("no leader", lambda: all(row["Role"] != "Leader" for row in fleet.list().values()))
    fleet.ctl("remove", SCOPE, given=f"{SCOPE}\nYes I am aware\n")
    expect(fleet.list(), {})


def what_is_missing():
    for program, package in (("patroni", "patroni"), ("patronictl", "patroni"),
                             ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is not installed (package {package})"
    if postgres_programs() is None:
        return "PostgreSQL is not installed (package postgresql)"
    return None


def driver_of(cluster, directory):
    """Where Patroni finds us. With certificates it shows one, and logs in as a user who may only touch
    what is its own.
    """
    driver = {"hosts": [f"127.0.0.1:{m.client_port}" for m in cluster.members],
              "protocol": cluster.scheme}
    if cluster.has_tls:
        for file in ("ca.crt", "client.crt", "client.key"):
            shutil.copy(cluster.pki / file, directory)
        driver.update(cacert=str(directory / "ca.crt"), cert=str(directory / "client.crt"),
                      key=str(directory / "client.key"), username="patroni", password="secret")
    return driver


def make_users(cluster):
    """Of the API, with a role for Patroni's keys."""
    prefix, end = (base64.b64encode(key).decode() for key in (b"/service/", b"/service0"))
    for path, body in (
            ("user/add", {"name": "root", "password": "root"}),
            ("role/add", {"name": "root"}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("user/add", {"name": "patroni", "password": "secret"}),
            ("role/add", {"name": "service"}),
            ("role/grant", {"name": "service", "perm": {"permType": "READWRITE", "key": prefix,
                                                        "range_end": end}}),
            ("user/grant", {"user": "patroni", "role": "service"}),
            ("enable", {})):
        request = urllib.request.Request(f"{cluster.members[0].client_url}/v3/auth/{path}",
                                         json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=10, context=cluster.context).close()


def main():
    missing = what_is_missing()
    if missing:
        print(missing)
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    build, is_long = Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--long"]
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    os.chmod(directory, 0o755)
    postgres_dir = Path(directory) / "postgres"
    postgres_dir.mkdir()
    cluster = Cluster(directory, build, has_tls=is_long)
    fleet = Fleet(postgres_dir, postgres_programs(), driver_of(cluster, postgres_dir), 2)
    if os.geteuid() == 0:
        for path in [postgres_dir, *postgres_dir.rglob("*")]:
            os.chown(path, user().pw_uid, user().pw_gid)
    chosen = [*check.functions, *(long_check.functions if is_long else []), *last_check.functions]
    failed = 1
    try:
        cluster.start()
        cluster.leader()
        if is_long:
            make_users(cluster)
        failed = run_checks(chosen, (cluster, fleet), stops_early=True)
        if failed:
            for node in fleet.nodes:
                log = node.dir / "log"
                print(f"# {node.name}:\n" + (log.read_text()[-3000:] if log.exists() else ""))
            for member in cluster.members:
                print(f"# {member.name}:\n" + member.log.read_text()[-2000:])
    finally:
        fleet.stop()
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

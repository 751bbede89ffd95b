#!/usr/bin/env python3
"""test_novacron.py BUILD: our command line against three members with certificates, the daemon's
configuration and its complaints, its pages, and the exchange of certificates. Half a minute at most.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import PATIENCE, Checks, run_checks, until
from scene import with_cluster

from local_cluster import Cluster, free_ports

check = Checks()


class Cli:
    def __init__(self, build, cluster):
        pki = cluster.pki
        self.program = build / "cli/novacron"
        self.flags = ["--endpoints", cluster.endpoints, "--cacert", pki / "ca.crt",
                      "--cert", pki / "client.crt", "--key", pki / "client.key"]

    def run(self, *args, given=None):
        return subprocess.run([self.program, *args, *self.flags], text=True, input=given,
                              capture_output=True, timeout=PATIENCE)

    def __call__(self, *args, given=None):
        done = self.run(*args, given=given)
        assert done.returncode == 0, f"{args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout


def expect(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def daemon_says(build, text, *args, **env):
    """What novacrond --check says of a configuration, and its exit status."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([build / "backend/novacrond/novacrond", "--config", file.name,
                               "--check", *args], capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, **env})
        return done.returncode, (done.stdout + done.stderr).replace(file.name, "FILE")


GOOD = """name: a
data_dir: data
cluster:
  name: lab
  members:
    - name: a
      peer: 127.0.0.1:2380
peer:
  listen: 127.0.0.1:2380
client:
  listen: 127.0.0.1:2379
"""



def probes(kind, rest, wanted):
    """A row of BAD: a probe called web, whose kind is in line 5 of the file."""
    rest = f"      {rest}\n" if rest else ""
    return ("name: a\n", f"name: a\nhealth:\n  probes:\n    - name: web\n      {kind}\n{rest}", wanted)


BAD = [
    ("name: a", "nmae: a", 'FILE:1: unknown key "nmae"; did you mean "name"?'),
    ("  listen: 127.0.0.1:2380", "  lisen: 127.0.0.1:2380",
     'FILE:9: unknown key "lisen" (in peer); did you mean "listen"?'),
    ("  listen: 127.0.0.1:2379", "  listen: 2379",
     'FILE:11: client.listen: "2379" is no host:port; write it as in 10.0.0.1:2380'),
    ("name: a\n", "name: a\ntiming: slow\n", "write lan or stretch"),
    ("name: a\n", "name: a\nquota_mib: much\n", "(in quota_mib); write a number of MiB"),
    ("name: a\n", "name: a\nhealth:\n  key: f\n", 'unknown key "key" (in health); did you mean "keys"?'),
    ("name: a\n", "name: a\nhealth:\n  site: far-too-long\n", "health.site: is longer than 8 bytes"),
    probes("kind: tcp", "target: 127.0.0.1",
           'FILE:6: health.probes: target of web "127.0.0.1" is no host:port'),
    probes("kind: udp", "", "(in kind of probes of health); write tcp, http or command"),
    probes("kind: http", "", 'FILE:4: health.probes: target of web is missing; write where'),
    probes("kind: http", "target: https://a/", "which is not spoken; write kind tcp, or"),
    probes("kind: http", "target: a/x y", "FILE:6: health.probes: target of web is wrong: the path"),
    probes("kind: http", "target: a/x\n      status: 2xx", 'FILE:7: health.probes: status of web "2xx"'),
    probes("kind: http", "target: a/x\n      status: 700", "FILE:7: health.probes: status of web is wr"),
    probes("kind: http", "target: a/x\n      host: a b", "FILE:7: health.probes: host of web is wrong"),
    probes("kind: http", 'target: a/x\n      text: ""', "FILE:7: "),
    probes("kind: tcp", "target: a:1\n      status: 200", "status of web is for kind http; take it"),
    probes("kind: command", "", 'command of web is missing; write the program and its arguments'),
    probes("kind: command", "command: [pg_isready]", 'FILE:6: health.probes: command of web "pg_isr'),
    probes("kind: tcp", "target: a:1\n      timeout_ms: 20000", "FILE:7: health.probes: timeout_ms of"),
    probes("kind: tcp", "target: a:1\n      period_ms: 5", "FILE:7: health.probes: period_ms of web mus"),
    probes("kind: tcp", "target: a:1\n      periodms: 5", 'unknown key "periodms" (in probes of health); did'),
    probes("kind: tcp", "target: a:1\n    - name: web\n      kind: tcp\n      target: a:2",
           "FILE:7: health.probes: name of web is another probe's"),
    probes("kind: tcp", "target: a:1\n    - name: Web\n      kind: tcp\n      target: a:2",
           "FILE:7: health.probes: name of Web is none; write at most 32"),
    probes("kind: tcp", "target: a:1\n  off: true", "is not asked with health.off"),
    ("name: a\n", "name: b\n", "b is not among them; add it"),
    ("name: a\n", "name: a\nrole: voter\n", "(in role); write member or agent"),
    ("name: a\n", "name: a\nrole: agent\n", "a is among them; a host that is a member"),
    ("name: a\n", "name: b\nrole: agent\n", "machines.run_dir: is missing; an agent is there to"),
    ("name: a\n", "name: b\nrole: agent\nid: 7\n", "that of an agent is made of its name; take"),
    ("name: a\n", "name: b\nrole: agent\nmachines:\n  run_dir: /r\n", "machines.folders: is missing"),
    ("  listen: 127.0.0.1:2379", "  listen: 10.0.0.1:2379", "is no loopback address; write cert"),
    ("data_dir: data\n", "", "data_dir: is missing"),
    ("      peer: 127.0.0.1:2380\n", "", 'add "peer: ..."'),
    ("      peer: 127.0.0.1:2380\n", "      peer: 127.0.0.1:2380\n      witness: true\n",
     "cluster.members: 1 of 1 are witnesses, which hold no data"),
    ("      peer: 127.0.0.1:2380\n", "      peer: 127.0.0.1:2380\n      priority: 256\n",
     "the priority of a is no number from 0"),
    ("  name: lab\n", "  id: 4d\n", "a has no id, and without a cluster.name none can be made"),
    ("  name: lab\n", "  name: lab\n  name: lab\n", "FILE:4: Mapping field already seen: name"),
]


@check
def names_line_and_fix_of_what_is_wrong_in_the_configuration(build, cluster, cli):
    expect(daemon_says(build, GOOD)[0], 0)
    for old, new, wanted in BAD:
        assert old in GOOD
        status, said = daemon_says(build, GOOD.replace(old, new, 1))
        expect(status, 2)
        assert wanted in said, f"{new!r}: {said}"


@check
def lets_the_environment_override_the_file(build, cluster, cli):
    said = daemon_says(build, GOOD, NOVACRON_CLIENT_LISTEN="127.0.0.1:9999")
    assert "127.0.0.1:9999" in said[1], said
    status, said = daemon_says(build, GOOD, NOVACRON_CLIENT_LISEN="x")
    assert status == 2 and "is no setting" in said, said
    status, said = daemon_says(build, GOOD, NOVACRON_TIMING="slow")
    assert status == 2 and "write lan or stretch" in said, said


@check
def keeps_keys_by_our_command_line(build, cluster, cli):
    expect(cli("kv", "put", "a", "1"), "OK\n")
    cli("kv", "put", "ab", "2")
    expect(cli("kv", "get", "a"), "a\n1\n")
    expect(cli("kv", "get", "a", "--prefix"), "a\n1\nab\n2\n")
    expect(cli("kv", "get", "", "--prefix", "--keys-only"), "a\nab\n")
    expect(json.loads(cli("kv", "get", "a", "--json"))["count"], "1")
    txn = '{"compare":[{"target":"VALUE","key":"YQ==","value":"MQ=="}],' \
          '"success":[{"request_put":{"key":"YQ==","value":"Mw=="}}]}'
    assert json.loads(cli("kv", "txn", given=txn))["succeeded"]
    expect(cli("kv", "get", "a"), "a\n3\n")
    expect(cli("kv", "watch", "a", "--prefix", "--rev", "2", "--count", "3"),
           "PUT\na\n1\nPUT\nab\n2\nPUT\na\n3\n")
    expect(cli("kv", "del", "a", "--prefix"), "2\n")
    expect(cli.run("kv", "get", "a", "--rev", "9999").returncode, 2)


@check
def tells_how_the_cluster_is(build, cluster, cli):
    status = cli("cluster", "status").splitlines()
    expect(len(status), 3)
    expect(sum(" leader " in line for line in status), 1)
    expect(len(cli("member", "list").splitlines()), 3)
    added = cli("member", "add", "node-9", f"https://127.0.0.1:{free_ports(1)[0]}")
    member_id = added.split()[4].rstrip(".")
    assert f"id: {member_id}" in added and "name: node-1" in added, added
    assert "is removed" in cli("member", "remove", member_id)
    expect(len(cli("member", "list").splitlines()), 3)


@check
def answers_as_json_wherever_it_is_asked_to(build, cluster, cli):
    novacron = build / "cli/novacron"
    cli("kv", "put", "json", "1")
    port = free_ports(1)[0]
    for args, has in ((["kv", "get", "json"], "kvs"), (["kv", "put", "json", "2"], "header"),
                      (["kv", "del", "json"], "deleted"), (["member", "list"], "members"),
                      (["kv", "watch", "json", "--rev", "2", "--count", "1"], "events"),
                      (["snapshot", "save", cluster.dir / "json"], "revision")):
        said = [json.loads(line) for line in cli(*args, "--json").splitlines()]
        assert any(has in one for one in said), (args, said)
    added = json.loads(cli("member", "add", "x", f"https://127.0.0.1:{port}", "--json"))
    cli("member", "remove", f"{int(added['member']['ID']):x}", "--json")
    verify = [novacron, "snapshot", "verify", cluster.dir / "json", "--json"]
    verified = json.loads(subprocess.run(verify, capture_output=True, text=True).stdout)
    assert verified["whole"] and verified["keys"] >= 0, verified
    status = [json.loads(line) for line in cli("cluster", "status", "--json").splitlines()]
    assert len(status) == 3 and all(s["status"]["leader"] for s in status), status
    mixed = subprocess.run([novacron, "cluster", "status", "--json", *cli.flags, "--endpoints",
                            f"https://127.0.0.1:{port},{cluster.endpoints}"], capture_output=True,
                           text=True, timeout=PATIENCE)
    status = [json.loads(line) for line in mixed.stdout.splitlines()]
    assert mixed.returncode == 1 and "error" in status[0] and len(status) == 4, mixed
    made = json.loads(subprocess.run([novacron, "ca", "init", cluster.dir / "ca-json", "--json"],
                                     capture_output=True, text=True).stdout)
    assert Path(made["certificate"]).is_file() and Path(made["key"]).is_file(), made
    empty = subprocess.run([novacron, "wal", "verify", cluster.dir, "--json"], capture_output=True,
                           text=True)
    assert empty.returncode == 2 and json.loads(empty.stdout)["verdict"] == "empty", empty


@check
def offers_json_with_every_command_but_one(build, cluster, cli):
    novacron = build / "cli/novacron"
    lines = subprocess.run([novacron, "--help"], capture_output=True, text=True).stdout.splitlines()
    commands = [line.split() for line in lines if line.startswith("  novacron ")]
    assert len(commands) > 15
    for words in commands:
        # The name is one word or two: help tells which.
        for n in (3, 2):
            helped = subprocess.run([novacron, *words[1:n], "--help"], capture_output=True,
                                    text=True)
            if helped.returncode == 0:
                break
        assert ("--json" in helped.stdout) != (words[1] == "completion"), words


@check
def says_what_to_do_about_failures(build, cluster, cli):
    novacron = build / "cli/novacron"
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    cases = [
        (["kv", "get", "a", "--endpoints", nobody], 2, "does a member run there? --endpoints"),
        (["kv", "get", "a", "--endpoints", cluster.endpoints], 64, "there is no --cacert"),
        (["kv", "get", "a", "--endpoints", cluster.endpoints.replace("https", "http")], 2,
         "endpoint begins with https://"),
        (["kv", "get", "a", "--limit", "few", *cli.flags], 64, '--limit wants a number, and got'),
        (["member", "remove", "12zz", *cli.flags], 64, "which `novacron member list` prints"),
        (["member", "remove", "12", *cli.flags], 2, "`novacron member list` shows the ids"),
        (["kv", "get", "a", "--rev", "99999", *cli.flags], 2, "leave --rev away"),
        (["kv", "put", "a", "b", "--lease", "77", *cli.flags], 2, "it has ended, or was never"),
        (["snapshot", "verify", "/nowhere/at/all"], 2, "cannot read"),
        (["kv", "gte", "a"], 64, "--help` lists them all"),
    ]
    for args, status, wanted in cases:
        done = subprocess.run([novacron, *args], capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, wanted in done.stderr) == (status, True), (args, done)


@check
def saves_backups_and_finds_their_damage(build, cluster, cli):
    path = cluster.dir / "backup"
    cli("kv", "put", "kept", "yes")
    assert "whole" in cli("snapshot", "save", path)
    verify = [build / "cli/novacron", "snapshot", "verify", path]
    expect(subprocess.run(verify, stdout=subprocess.DEVNULL).returncode, 0)
    content = bytearray(path.read_bytes())
    for damaged in (content[:-1], content[:-512], bytes(content[:100]) + b"x" + content[101:]):
        path.write_bytes(damaged)
        done = subprocess.run([*verify, "--json"], capture_output=True, text=True)
        assert done.returncode == 1 and "take another backup" in done.stderr, done
        assert not json.loads(done.stdout)["whole"], done


@check
def founds_a_cluster_with_a_backup(build, cluster, cli):
    backup = cluster.dir / "to-restore"
    cli("kv", "put", "kept", "restored")
    cli("snapshot", "save", backup)
    restored = Cluster(tempfile.mkdtemp(dir=cluster.dir), build)
    try:
        for member in restored.members:
            member.start("--restore", backup)
        restored.leader()
        endpoints = ["--endpoints", restored.endpoints]
        get = [cli.program, "kv", "get", "kept", *endpoints]
        expect(subprocess.run(get, capture_output=True, text=True).stdout, "kept\nrestored\n")
        put = [cli.program, "kv", "put", "kept", "and goes on", *endpoints]
        expect(subprocess.run(put, capture_output=True, text=True).stdout, "OK\n")
        for member in restored.members:
            member.kill()
            member.start()
        restored.leader()
        expect(subprocess.run(get, capture_output=True, text=True).stdout, "kept\nand goes on\n")
        again = restored.members[0]
        again.stop()
        again.start("--restore", backup)
        expect(again.process.wait(PATIENCE), 1)
        again.process = None
        assert "founds a new cluster" in again.log.read_text()
    finally:
        restored.stop()


def restore_elsewhere(build, cluster, backup, **settings):
    """A cluster whose members all begin with the backup, by the command line."""
    restored = Cluster(tempfile.mkdtemp(dir=cluster.dir), build, **settings)
    done = subprocess.run([build / "cli/novacron", "snapshot", "restore", backup,
                           *[m.config for m in restored.members], "--json"], capture_output=True,
                          text=True, timeout=PATIENCE)
    expect((done.returncode, done.stderr), (0, ""))
    said = [json.loads(line) for line in done.stdout.splitlines()]
    expect([s["name"] for s in said], [m.name for m in restored.members])
    assert all(Path(s["data_dir"]).is_dir() for s in said), said
    assert max(s["revision"] for s in said) > 1, said  # a witness has none
    return restored


@check
def restores_a_backup_offline_for_all_members(build, cluster, cli):
    backup = cluster.dir / "offline"
    cli("kv", "put", "kept", "restored")
    cli("snapshot", "save", backup)
    for traits in ({}, {"node-3": ["witness: true"]}):
        restored = restore_elsewhere(build, cluster, backup, traits=traits)
        try:
            restored.start()
            leader = restored.leader()
            for verb, wanted in ((["get", "kept"], "kept\nrestored\n"), (["put", "a", "1"], "OK\n")):
                done = subprocess.run([cli.program, "kv", *verb, "--endpoints", leader.client_url],
                                      capture_output=True, text=True, timeout=PATIENCE)
                expect(done.stdout, wanted)
            for member in restored.members:
                member.kill()
                member.start()
            restored.leader()
            again = [cli.program, "snapshot", "restore", backup, restored.members[0].config]
            used = subprocess.run(again, capture_output=True, text=True, timeout=PATIENCE)
            assert used.returncode == 2 and "in use by another" in used.stderr, used
            restored.members[0].stop()
            full = subprocess.run(again, capture_output=True, text=True, timeout=PATIENCE)
            assert full.returncode == 2 and "is not empty" in full.stderr, full
        finally:
            restored.stop()


@check
def restores_nothing_from_a_damaged_backup(build, cluster, cli):
    backup = cluster.dir / "damaged"
    cli("snapshot", "save", backup)
    content = bytearray(backup.read_bytes())
    content[100] ^= 1
    backup.write_bytes(content)
    elsewhere = Cluster(tempfile.mkdtemp(dir=cluster.dir), build)
    into = cluster.dir / "into"
    done = subprocess.run([cli.program, "snapshot", "restore", backup, elsewhere.members[0].config,
                           "--into", into], capture_output=True, text=True, timeout=PATIENCE)
    expect(done.returncode, 1)
    assert not into.exists()
    cli("snapshot", "save", backup)
    done = subprocess.run([cli.program, "snapshot", "restore", backup, elsewhere.members[0].config,
                           "--into", into], capture_output=True, text=True, timeout=PATIENCE)
    expect(done.returncode, 0)
    assert "3 members found the cluster, and 1 are done" in done.stdout, done
    assert (into / "node-1/node/snap").is_dir()


@check
def serves_pages_to_those_who_show_a_certificate_or_not(build, cluster, cli):
    import ssl
    import urllib.request
    context = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
    for path, wanted in (("/metrics", "etcd_server_has_leader 1"), ("/health", '"true"'),
                         ("/debug/raft", '"term"'), ("/debug/config", '"lan"'),
                         ("/version", '"etcdserver"')):
        url = cluster.members[0].client_url + path
        with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as answer:
            page = answer.read().decode()
        assert wanted in page, page
        if path == "/metrics":
            names = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
            expect(len(names), len(set(names)))


@check
def exchanges_certificates_without_a_restart(build, cluster, cli):
    member = cluster.members[0]
    certificate = cluster.pki / "node-1.crt"
    good = certificate.read_bytes()
    certificate.write_bytes(b"no certificate")
    member.send(signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while "outcome=failed" not in member.log.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    certificate.write_bytes(good)
    cli("kv", "put", "a", "1")
    member.send(signal.SIGHUP)
    while "outcome=ok" not in member.log.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert "outcome=ok" in member.log.read_text()
    cli("kv", "put", "a", "2")


@check
def keeps_a_second_daemon_off_its_disk(build, cluster, cli):
    member = cluster.members[0]
    second = subprocess.run([cluster.program, "--config", member.config], capture_output=True,
                            text=True, timeout=PATIENCE, env=cluster.env)
    expect(second.returncode, 1)
    assert "in use by another novacrond" in second.stderr, second.stderr


@check
def a_lost_disk_does_not_found_the_cluster_again(build, cluster, cli):
    member = cluster.members[0]
    cli("kv", "put", "kept", "yes")
    member.kill()
    shutil.rmtree(member.dir / "data/node")
    member.start()
    end = time.monotonic() + PATIENCE
    while "verdict=wiped" not in member.log.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    assert "verdict=wiped" in member.log.read_text()
    found = ""
    while found != "kept\nyes\n" and time.monotonic() < end:
        done = subprocess.run([cli.program, "kv", "get", "kept", "--serializable", *cli.flags,
                               "--endpoints", member.client_url], capture_output=True, text=True,
                              timeout=PATIENCE)
        found = done.stdout
        time.sleep(0.05)
    expect(found, "kept\nyes\n")


@check
def tells_systemd_how_it_is(build, cluster, cli):
    """By a socket's file and by a name that is none; of a watchdog only where it is this process's."""
    member = cluster.members[2]
    path = str(cluster.dir / "notify")
    expect(member.stop(), 0)
    for name, address in ((path, path), ("@" + path, b"\0" + path.encode())):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(address)
            notify.settimeout(PATIENCE)
            cluster.env["NOTIFY_SOCKET"] = name
            cluster.env["WATCHDOG_USEC"] = "20000"
            member.start()
            del cluster.env["NOTIFY_SOCKET"], cluster.env["WATCHDOG_USEC"]
            told = []
            while "READY=1" not in told or "WATCHDOG=1" not in told:
                told.append(notify.recv(4096).decode().split("\n")[0])
            member.send(signal.SIGTERM)
            while told[-1] != "STOPPING=1":
                told.append(notify.recv(4096).decode())
            expect(member.wait(PATIENCE), 0)
    member.start()
    cli("kv", "put", "a", "3")


def run(cluster):
    cli = Cli(cluster.build, cluster)
    cluster.start()
    until("it serves", lambda: cli.run("cluster", "status").returncode == 0)
    return run_checks(check.functions, (cluster.build, cluster, cli)) == 0


def main():
    return with_cluster(run, has_tls=True)


if __name__ == "__main__":
    sys.exit(main())

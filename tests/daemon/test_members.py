#!/usr/bin/env python3
"""test_members.py BUILD: who belongs to a cluster of daemons, and with which part: witnesses,
priorities, learners; by the command line alone. Under a minute.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scene import PATIENCE, Scene, check, expect, run_checks, until

from local_cluster import free_ports


def line_of(scene, member):
    """What `cluster status` says of a member."""
    return scene.run("cluster", "status", members=[member]).stdout


def names_of(scene, member):
    """`member list`, once all have said what they are called."""
    def listed():
        text = scene.run("member", "list", members=[member]).stdout
        return text if all(m.name in text for m in scene.members) else ""
    return until("all have names", listed)


def state_of(member, key):
    return (member.raft() or {}).get(key)


@check
def two_replicas_and_a_witness_lose_one_and_say_so(build):
    with Scene(build, traits={"node-3": ["witness: true"]}) as scene:
        leader = scene.cluster.leader()
        one, two, witness = scene.members
        assert leader is not witness
        other = two if leader is one else one
        until("the witness has a name", lambda: "witness" in scene.run(
            "member", "list", members=[leader]).stdout and "node-3" in scene.run(
            "member", "list", members=[leader]).stdout)
        scene.put("kept", "yes", [leader, other])
        assert " witness " in line_of(scene, witness), line_of(scene, witness)
        assert "EXPOSED" not in line_of(scene, leader)
        other.kill()
        scene.put("alone", "yes", [leader])  # waits until the other is out of the in-sync set
        until("it is exposed", lambda: "EXPOSED" in line_of(scene, leader))
        expect(scene.run("cluster", "status", members=[leader]).returncode, 1)
        expect(state_of(leader, "exposed"), 1)
        other.start()
        until("that ends", lambda: "EXPOSED" not in line_of(scene, leader) and
              state_of(leader, "exposed") == 0)
        # and it has what was written without it: the other may go
        leader.kill()
        until("it leads", lambda: state_of(other, "role") == "leader")
        expect(scene.get("alone", [other]), "alone\nyes\n")
        scene.put("later", "yes", [other])
        expect(scene.run("kv", "get", "kept", "--serializable", members=[witness]).returncode, 2)


@check
def the_replica_that_fell_behind_goes_on_when_the_other_is_lost(build):
    with Scene(build, traits={"node-3": ["witness: true"]}) as scene:
        one, two, witness = scene.members
        leader = scene.cluster.leader()
        other = two if leader is one else one
        scene.put("kept", "yes", [leader, other])
        until("the other has it", lambda: "yes" in scene.run(
            "kv", "get", "kept", "--serializable", members=[other]).stdout)
        other.kill()
        scene.put("alone", "yes", [leader])
        leader.kill()  # with its disk
        witness.kill()
        dirs = [str(m.dir / "data") for m in (other, witness)]
        looked = scene.run("cluster", "survivors", *dirs)
        expect(looked.returncode, 1)
        assert "A witness is one of them" in looked.stdout, looked
        refused = scene.run("cluster", "recover", *dirs)
        assert "leave the witness stopped" in refused.stderr, refused
        asked = scene.run("cluster", "recover", dirs[0])
        word = asked.stdout.split("--accept-data-loss ")[1].split()[0]
        expect(scene.run("cluster", "recover", dirs[0], "--accept-data-loss", word).returncode, 0)
        other.start()
        until("it goes on", lambda: state_of(other, "role") == "leader")
        expect(scene.get("kept", [other]), "kept\nyes\n")
        expect(scene.get("alone", [other]), "")  # which is what was said to be lost


@check
def the_member_of_the_highest_priority_takes_the_lead(build):
    with Scene(build, traits={"node-2": ["priority: 200"], "node-3": ["priority: 0"]}) as scene:
        one, two, three = scene.members
        until("node-2 leads", lambda: state_of(two, "role") == "leader")
        assert "  priority 200" in line_of(scene, two), line_of(scene, two)
        listed = names_of(scene, two)
        ids = {line.split()[3]: line.split()[0] for line in listed.splitlines()}
        expect(scene.run("member", "priority", ids["node-1"], "250", members=[two]).returncode, 0)
        until("node-1 leads", lambda: state_of(one, "role") == "leader")
        expect(scene.run("member", "priority", ids["node-1"], "256", members=[two]).returncode, 64)
        two.kill()
        one.kill()
        two.start()
        until("node-2 leads, and not node-3", lambda: state_of(two, "role") == "leader")


@check
def a_voter_becomes_a_learner_and_back(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        other = next(m for m in scene.members if m is not leader)
        listed = names_of(scene, leader)
        member = next(line.split()[0] for line in listed.splitlines() if other.name in line)
        demoted = scene.run("member", "demote", member, members=[leader])
        expect((demoted.returncode, demoted.stdout), (0, f"{member} is a learner now\n"))
        assert " learner " in line_of(scene, other), line_of(scene, other)
        until("it has caught up", lambda: scene.run("member", "promote", member,
                                                    members=[leader]).returncode == 0)
        until("it votes", lambda: " follower " in line_of(scene, other))
        moved = scene.run("member", "update", member, f"http://{other.peer}", members=[other])
        expect(moved.returncode, 0)


class Hosts:
    """Members as `cluster init` and `join` make them, on one host: what they write is put below one
    directory, as an operator would put it on the hosts, and each has a data_dir of its own.
    """

    def __init__(self, build, *flags):
        self.build = build
        self.dir = Path(tempfile.mkdtemp(prefix="novacron-test-"))
        self.etc = self.dir / "etc"
        self.etc.mkdir()
        self.flags = list(flags)
        self.ports = {}
        self.running = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for name, process in self.running.items():
            process.kill()
            process.wait()
            if kind:
                print(f"# {name}:\n" + (self.dir / f"{name}.log").read_text()[-1500:])
        shutil.rmtree(self.dir, ignore_errors=True)

    def host(self, name):
        self.ports[name] = free_ports(2)
        return "127.0.0.1:%d:%d" % tuple(self.ports[name])

    def install(self, name):
        for file in (self.dir / name).iterdir():
            shutil.move(file, self.etc / (file.name if file.suffix != ".yaml" else f"{name}.yaml"))

    def start(self, name):
        env = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
        with open(self.dir / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [self.build / "backend/novacrond/novacrond", "--config", self.etc / f"{name}.yaml"],
                stderr=log, env={**env, "NOVACRON_DATA_DIR": str(self.dir / f"{name}.data")})

    def kill(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()

    def novacron(self, *args):
        return subprocess.run([self.build / "cli/novacron", *args], text=True, capture_output=True,
                              timeout=PATIENCE)

    def ask(self, name, *args):
        scheme = "https" if "--cacert" in self.flags else "http"
        return self.novacron(*args, "--endpoints", f"{scheme}://127.0.0.1:{self.ports[name][1]}",
                             *self.flags)

    def members(self, name):
        """Role by name."""
        lines = self.ask(name, "member", "list").stdout.splitlines()
        return {line.split()[3]: line.split()[1] for line in lines if len(line.split()) > 3}

    def id_of(self, asked, name):
        lines = self.ask(asked, "member", "list").stdout.splitlines()
        return next(line.split()[0] for line in lines if line.split()[3] == name)


@check
def init_join_and_replace_make_a_cluster_with_certificates(build):
    with Hosts(build) as hosts:
        names = ["alpha", "beta", "gamma"]
        founders = [f"{name}={hosts.host(name)}" for name in names]
        place = ["--dir", hosts.dir, "--etc", hosts.etc]
        done = hosts.novacron("cluster", "init", "lab", *founders, *place, "--leader", "beta")
        expect((done.returncode, done.stderr), (0, ""))
        again = hosts.novacron("cluster", "init", "lab", *founders, *place)
        expect(again.returncode, 2)  # nothing that exists is replaced
        expect((hosts.dir / "alpha/alpha.key").stat().st_mode & 0o77, 0)
        admin = hosts.dir / "admin"
        hosts.flags = ["--cacert", admin / "ca.crt", "--cert", admin / "admin.crt",
                       "--key", admin / "admin.key"]
        for name in names:
            hosts.install(name)
            hosts.start(name)
        until("they know each other", lambda: set(hosts.members("alpha")) == set(names))
        expect(hosts.ask("alpha", "kv", "put", "kept", "yes").stdout, "OK\n")
        until("beta leads", lambda: " leader " in hosts.ask("beta", "cluster", "status").stdout)

        join = ["cluster", "join", "delta", hosts.host("delta"), *place]
        refused = hosts.ask("alpha", *join)
        assert refused.returncode == 64 and "--ca DIR" in refused.stderr, refused
        keys = hosts.dir / "ca/health.keys"
        expect(keys.stat().st_mode & 0o77, 0)
        elsewhere = hosts.dir / "elsewhere"
        keys.rename(elsewhere)
        refused = hosts.ask("alpha", *join, "--ca", hosts.dir / "ca")
        assert refused.returncode == 2 and "--health-keys FILE" in refused.stderr, refused
        keys.write_text("ab" * 32 + "\n")
        refused = hosts.ask("alpha", *join, "--ca", hosts.dir / "ca")
        assert refused.returncode == 2 and "has not the key" in refused.stderr, refused
        expect(set(hosts.members("alpha")), set(names))
        joined = hosts.ask("alpha", *join, "--ca", hosts.dir / "ca", "--health-keys", elsewhere)
        elsewhere.rename(keys)
        expect((joined.returncode, joined.stderr), (0, ""))
        twice = hosts.ask("beta", "cluster", "join", "beta", hosts.host("beta2"), *place,
                          "--ca", hosts.dir / "ca")
        assert twice.returncode == 2 and "there is a member beta already" in twice.stderr, twice
        hosts.install("delta")
        hosts.start("delta")
        until("delta votes", lambda: hosts.members("alpha").get("delta") == "voter")
        expect(hosts.ask("delta", "kv", "get", "kept").stdout, "kept\nyes\n")

        hosts.kill("gamma")
        gamma = hosts.id_of("alpha", "gamma")
        there = "127.0.0.1:%d:%d" % tuple(hosts.ports["alpha"])
        taken = hosts.ask("alpha", "member", "replace", gamma, "epsilon", there, *place,
                          "--ca", hosts.dir / "ca")
        assert taken.returncode == 2 and "(alpha) is reached at" in taken.stderr, taken
        assert "gamma" in hosts.members("alpha"), "it was removed, and nobody could be added"
        replaced = hosts.ask("alpha", "member", "replace", gamma, "epsilon", hosts.host("epsilon"),
                             *place, "--ca", hosts.dir / "ca", "--json")
        expect((replaced.returncode, replaced.stderr), (0, ""))
        assert json.loads(replaced.stdout)["id"] in (hosts.dir / "epsilon/novacrond.yaml").read_text()
        hosts.install("epsilon")
        hosts.start("epsilon")
        until("epsilon votes", lambda: hosts.members("delta").get("epsilon") == "voter")
        expect(set(hosts.members("delta")), {"alpha", "beta", "delta", "epsilon"})
        until("hosts watch each other", lambda: hosts.ask("epsilon", "members").stdout.count(
            " alive ") == 4)
        for name in ("alpha", "epsilon"):  # a restart needs nothing else
            hosts.kill(name)
            hosts.start(name)
        until("it answers", lambda: hosts.ask("epsilon", "kv", "get", "kept").stdout ==
              "kept\nyes\n")


@check
def a_witness_joins_two_replicas(build):
    with Hosts(build) as hosts:
        place = ["--dir", hosts.dir, "--etc", hosts.etc, "--plaintext"]
        founders = [f"{name}={hosts.host(name)}" for name in ("one", "two")]
        expect(hosts.novacron("cluster", "init", "lab", *founders, *place).returncode, 0)
        for name in ("one", "two"):
            hosts.install(name)
            hosts.start(name)
        until("they know each other", lambda: set(hosts.members("one")) == {"one", "two"})
        quoted = hosts.dir / 'a "quoted" place'
        joined = hosts.ask("one", "cluster", "join", "three", hosts.host("three"), *place,
                           "--witness", "--dir", quoted, "--json",
                           "--health-keys", hosts.dir / "health.keys")
        expect((joined.returncode, joined.stderr), (0, ""))
        expect(json.loads(joined.stdout)["file"], str(quoted / "three/novacrond.yaml"))
        shutil.move(quoted / "three", hosts.dir)
        hosts.install("three")
        hosts.start("three")
        expect(hosts.members("one"), {"one": "voter", "two": "voter", "three": "witness"})
        until("the witness follows", lambda: " witness " in hosts.ask(
            "three", "cluster", "status").stdout)
        leader = until("one leads", lambda: next((n for n in ("one", "two") if " leader " in hosts.ask(
            n, "cluster", "status").stdout), None))
        hosts.kill(leader)
        other = "two" if leader == "one" else "one"
        until("it goes on", lambda: hosts.ask(other, "kv", "put", "a", "1").stdout == "OK\n")


@check
def init_says_what_is_wrong_before_it_writes(build):
    with Hosts(build) as hosts:
        for args, wanted in ((["a=10.0.0.1", "a=10.0.0.2"], "there twice"),
                             (["a=10.0.0.1", "b=10.0.0.1:2380:7000"], "a and b are both"),
                             (["a"], "is no NAME=HOST"), (["a=10.0.0.1:0"], "is no NAME=HOST"),
                             (["a=10.0.0.1", "--witness", "b"], 'there is no member "b"'),
                             (["a=10.0.0.1", "--witness", "a"], "1 of 1 are witnesses"),
                             (["a=10.0.0.1", "--data-dir", 'x"y'], "alone"),
                             (["..=10.0.0.1", "--plaintext"], "is no NAME=HOST"),
                             (["a_b=10.0.0.1"], "is no name of a member"),
                             (["a=10.0.0.1", "ca=10.0.0.2"], "is no name of a member"),
                             (["a=10.0.0.1", "admin=10.0.0.2"], "for whoever runs `novacron`"),
                             (["a=-x"], "neither a DNS name nor an address")):
            done = hosts.novacron("cluster", "init", "lab", *args, "--dir", hosts.dir / "new")
            expect(done.returncode, 64)
            assert wanted in done.stderr, done.stderr
            assert not (hosts.dir / "new").exists()
        fresh = hosts.novacron("cluster", "init", "lab", "a=10.0.0.1", "--json", "--dir",
                               hosts.dir / "new")
        expect(fresh.returncode, 0)  # the directory is made
        folders = [m["dir"] for m in json.loads(fresh.stdout)["members"]]
        assert (Path(folders[0]) / "novacrond.yaml").exists(), folders
        above = hosts.novacron("cluster", "init", "lab", "a=10.0.0.1", "--dir",
                               hosts.dir / "neither/this")
        expect(above.returncode, 2)
        assert "cannot be made: No such file or directory" in above.stderr, above.stderr


if __name__ == "__main__":
    sys.exit(run_checks())

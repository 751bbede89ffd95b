#!/usr/bin/env python3
"""test_operators.py BUILD: what the command line says to an operator who is in trouble, or makes some:
wrong files and words, members that hang, no quorum, an answer that cannot be written, two at once.
Three members without machines; three quarters of a minute.
"""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from checks import PATIENCE, Checks, expect, run_checks, until
from scene import with_cluster

from local_cluster import ROOT

check = Checks()
VM = ("kind: vm\nname: {}\nmemory_mib: 16\nvolume: {}.img\nstorage: pool\ndesired: stopped\n")


class Cli:
    def __init__(self, cluster):
        self.cluster = cluster
        self.program = cluster.build / "cli/novacron"
        self.flags = ["--endpoints", cluster.endpoints]

    def run(self, *args, given=None, **settings):
        return subprocess.run([self.program, *args, *self.flags], text=True, input=given,
                              timeout=3 * PATIENCE,
                              **(settings or {"capture_output": True}))

    def __call__(self, *args, given=None, status=0):
        done = self.run(*args, given=given)
        expect((args, done.returncode), (args, status))
        return done.stdout + done.stderr

    def start(self, *args):
        return subprocess.Popen([self.program, *args, *self.flags], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def on_terminal(self, columns, *args):
        """What it writes to a terminal so wide."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([self.program, *args, *self.flags], stdout=theirs)
        os.close(theirs)
        text = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:
                break
            if not block:
                break
            text += block
        process.wait()
        os.close(ours)
        return text.decode().replace("\r", "")

    def keys(self):
        return [k for k in self("kv", "get", "/novacron/", "--prefix", "--keys-only").split()
                if k != "/novacron/leader" and "/events/" not in k]


class Halted:
    """Members that hang, as by SIGSTOP, for a while."""

    def __init__(self, *members):
        self.members = members

    def __enter__(self):
        for member in self.members:
            member.send(signal.SIGSTOP)

    def __exit__(self, *_):
        for member in self.members:
            member.send(signal.SIGCONT)


def help_of(cli, *words):
    done = subprocess.run([cli.program, *words, "--help"], text=True, capture_output=True,
                          timeout=PATIENCE)
    return done.stdout if done.returncode == 0 else None


def commands(cli):
    """The words of each command there is."""
    return [tuple(line.split("  ")[1].split()[1:])
            for line in help_of(cli).splitlines() if line.startswith("  novacron ")]


# --- words --------------------------------------------------------------------------------------

@check
def each_command_says_what_it_takes(cli):
    assert len(commands(cli)) > 30
    for words in commands(cli):
        assert " ".join(words) in (help_of(cli, *words) or ""), words


@check
def each_command_of_the_docs_is_one(cli):
    """All that the pages and the runbooks tell an operator to type, with its options."""
    known = commands(cli)
    found = 0
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        text = page.read_text()
        spans = re.findall(r"`novacron ([^`]+)`|^    (?:\$ )?novacron (.+)$", text, re.M)
        for line in [a or b for a, b in spans]:
            if line.startswith(("GROUP", "--", "apply: ", "vm apply: ")):
                continue  # a form, and what it answers
            words = line.split("#")[0].split("|")[0].split()
            command = next((c for c in known if tuple(words[:len(c)]) == c), None)
            is_group = any(c[:len(words)] == tuple(words) for c in known)
            assert command or is_group, (page.name, line)
            text_of_help = help_of(cli, *command) if command else ""
            for word in words:
                assert not word.startswith("--") or f"[{word}" in text_of_help, (page.name, line)
            found += 1
    assert found > 60, found


@check
def names_and_numbers_that_are_none_are_said(cli):
    for args, status, words in (
            (("vm", "start", "nobody"), 2, 'there is no machine: "nobody"'),
            (("vm", "start", "../x"), 2, 'there is no machine: "../x"'),
            (("vm", "start"), 64, "an argument is missing: MACHINE"),
            (("vm", "start", "a", "b"), 64, "one argument too many: b"),
            (("vm", "lst"), 64, 'no command "vm lst"'),
            (("vm", "list", "--bogus"), 64, "no option --bogus"),
            (("vm", "start", "a", "--wait"), 64, ""),
            (("host", "fence", "nobody"), 2, 'there is no host: "nobody"'),
            (("host", "confirm-off", "a", "--by", "me"), 64, "--reason TEXT is missing"),
            (("incident", "show", "x"), 2, 'there is no incident: "x"'),
            (("events", "--count", "-1"), 64, "--count wants a number"),
            (("events", "--count", "99999999999999999999999"), 64, "--count wants a number")):
        said = cli(*args, status=status)
        assert words in said, (args, said)
    cli("apply", "-f", "-", given=VM.format("words", "words") + "---\nkind: host\nname: bare\n")
    said = cli("host", "fence", "bare", status=2)
    assert "bare has no fence device, and nothing was changed" in said, said
    cli("kv", "del", "/novacron/hosts/bare")
    for wait in ("-5", "1e9", "", "99999999999999999999"):
        assert "--wait wants seconds" in cli("vm", "start", "words", "--wait", wait, status=64)
    cli("vm", "delete", "words")


# --- files --------------------------------------------------------------------------------------

@check
def files_that_are_no_manifest_are_said_and_nothing_is_written(cli):
    before = cli.keys()
    with tempfile.TemporaryDirectory() as directory:
        for content, status, words in (
                (b"", 64, ":1: there is nothing in it"), (b"---\n---\n", 64, ":2: a document is a mapping"),
                (os.urandom(10 << 20), 64, "1 MiB at most"),
                (b"kind: vm\n" * (1 << 20), 64, "1 MiB at most"),
                (b"\xff\xfe\x00k", 64, ":1: "), (b"\x00" * 300, 64, ":1: "),
                (b"kind: vm\nname: a\n\tcpus: 1\n", 64, ":3: "),
                (b"kind: vm\nname: \"a\\0b\"\n", 64, ":2: a text has no zero byte"),
                (b"a: &a [x]\nb: *a\n", 64, "no anchors"),
                (b"kind: vm\nname: a\ndefinition: " + b"[" * 5000, 64, ":3: this lies too deep"),
                (VM.format("a", "a").replace("16", "-16").encode(), 64, ":3: memory_mib: "),
                (VM.format("a", "a").replace("16", "0x10").encode(), 64, ":3: memory_mib: "),
                (VM.format("a", "x" * 70000).encode(), 64, "65536 bytes")):
            path = Path(directory) / "file"
            path.write_bytes(content)
            said = cli("apply", "-f", str(path), status=status)
            assert words in said and said.count("\n") == 1, (content[:40], said)
        assert "Is a directory" in cli("apply", "-f", directory, status=2)
        assert "No such file" in cli("apply", "-f", directory + "/none", status=2)
        assert "1 MiB at most" in cli("apply", "-f", "/dev/zero", status=64)
        assert "-f FILE is missing" in cli("apply", status=64)
    many = "---\n".join(VM.format(f"m{i}", "x") for i in range(257))
    assert "256 documents at most" in cli("apply", "-f", "-", given=many, status=64)
    expect(cli.keys(), before)


# --- answers ------------------------------------------------------------------------------------

@check
def an_answer_that_cannot_be_written_was_not_given(cli):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = cli.run("status", stdout=full, stderr=subprocess.PIPE)
    expect((done.returncode, "No space left" in done.stderr), (2, True))
    line = f"{cli.program} status {' '.join(cli.flags)}"
    done = subprocess.run(f"{line} >&- 2>&-", shell=True, timeout=PATIENCE)
    assert done.returncode in (0, 1), done.returncode
    done = subprocess.run(f"{line} | true; exit ${{PIPESTATUS[0]}}", shell=True, timeout=PATIENCE,
                          executable="/bin/bash", capture_output=True, text=True)
    assert done.returncode in (0, 1, 128 + signal.SIGPIPE) and done.stderr == "", done


@check
def json_is_json_whatever_is_asked(cli):
    cli("apply", "-f", "-", given=VM.format("j1", "j1") +
        "---\nkind: host\nname: jh\nlevels: [[jd]]\n")
    cli("kv", "put", "/novacron/vms/j2", "no JSON")
    for args in (("vm", "list"), ("vm", "show", "j1"), ("vm", "explain", "j1"), ("host", "list"),
                 ("host", "show", "jh"), ("status",), ("events",), ("incident", "list"),
                 ("vm", "start", "j1"), ("vm", "stop", "j1"), ("host", "fence", "jh"),
                 ("vm", "delete", "j1", "--wait", "20"), ("vm", "delete", "j2"),
                 ("apply", "-f", "-", "--dry-run")):
        done = cli.run(*args, "--json", given=VM.format("j3", "j3") if args[0] == "apply" else None)
        assert done.returncode in (0, 1), (args, done)
        for line in done.stdout.splitlines():
            json.loads(line)
        assert done.stdout or args[0] in ("events", "incident"), args
    cli("kv", "del", "/novacron/hosts/jh")


@check
def nothing_in_a_record_speaks_to_the_terminal(cli):
    nasty = '{"number":%d,"wall_ms":1,"what":"x\\u001b[31m","host":"a","detail":"\\u009b0;\\u0007"}'
    key = "/novacron/events/%020d" % 999999
    cli("kv", "put", key, nasty % 999999)
    cli("kv", "put", "/novacron/hosts/\x1b[31m", "{}")
    for args in (("events",), ("events", "--json"), ("status",), ("host", "list")):
        done = cli.run(*args)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), (args, done)
    cli("kv", "del", key)
    cli("kv", "del", "/novacron/hosts/\x1b[31m")


@check
def a_machine_that_is_to_stand_still_and_does_is_well(cli):
    cli("apply", "-f", "-", given=VM.format("still", "still"))
    said = cli("vm", "list")
    assert re.search(r"^still +stopped +stopped ", said, re.M), said
    cli("vm", "delete", "still")


# --- the screen ---------------------------------------------------------------------------------

@check
def status_fits_eighty_columns_and_is_a_line_each_elsewhere(cli):
    hosts = "".join(f"kind: host\nname: host-{i}\nlevels: [[bmc-{i}]]\n---\n" for i in range(20))
    vm = VM.replace("desired: stopped\n", "apart: [nobody-1, nobody-2]\n")
    cli("apply", "-f", "-", given=hosts + "---\n".join(vm.format(f"web-{i}", "w") for i in range(30)))
    until("they wait", lambda: "no host fits" in cli("vm", "list", status=1))
    cli("kv", "put", "/novacron/storages/pool", '{"name": "pool"}')
    screen = cli.on_terminal(80, "status")
    wide = [line for line in screen.splitlines() if len(line) > 80]
    expect(wide, [])
    assert "Needs attention:" in screen and "and 18 more machines" in screen, screen
    assert "and 8 more hosts" in screen and "`novacron vm explain NAME`" in screen, screen
    piped = cli("status", status=1)
    assert re.search(r"^  vm   web-0 +waiting +no host fits: .{80}", piped, re.M), piped
    assert re.search(r"^  /novacron/storages/pool: type: it is missing$", piped, re.M), piped
    for key in cli.keys():
        cli("kv", "del", key)


# --- members that hang --------------------------------------------------------------------------

@check
def a_member_that_hangs_keeps_nobody_from_reading(cli):
    first = cli.cluster.members[0]
    cli("apply", "-f", "-", given=VM.format("hang", "hang"))
    with Halted(first):
        assert "hang" in cli("vm", "list")
        said = json.loads(cli.run("status", "--json").stdout)
        assert said["has_quorum"], said
    until("it is back", lambda: len(cli("member", "list").splitlines()) == 3)
    cli("vm", "delete", "hang")


@check
def status_without_a_quorum_says_so_and_what_was_known(cli):
    cli("apply", "-f", "-", given=VM.format("known", "known") + "---\nkind: host\nname: node-1\n")
    until("all have it", lambda: "known" in cli("vm", "list"))
    leader = cli.cluster.leader()
    with Halted(leader, next(m for m in cli.cluster.members if m is not leader)):
        until("nobody leads", lambda: not json.loads(
            cli.run("status", "--json").stdout or '{"has_quorum": true}')["has_quorum"])
        said = cli("status", status=1)
        assert said.startswith("NO QUORUM  Nothing is decided"), said
        assert "quorum-lost.md" in said and "hosts      0 of 1 up" in said, said
        assert "All is well" not in said and "survives" not in said, said
        # Other commands do not answer with what may be old, nor decide by it.
        said = cli("apply", "-f", "-", given=VM.format("lost", "lost"), status=2)
        assert "no quorum" in said or "no leader" in said, said  # it has read nothing yet
    until("there is one again", lambda: cli.run("vm", "list").returncode == 0)
    json.loads(cli.run("status", "--json").stdout)
    assert "/novacron/vms/lost" not in cli.keys(), "it was refused"
    cli("vm", "delete", "known")
    cli("kv", "del", "/novacron/hosts/node-1")


@check
def status_of_nobody_ends_with_2(cli):
    done = subprocess.run([cli.program, "status", "--endpoints", "http://127.0.0.1:1"], text=True,
                          capture_output=True, timeout=PATIENCE)
    expect((done.returncode, done.stdout), (2, ""))
    assert "cannot be reached" in done.stderr, done.stderr


@check
def events_are_followed_over_the_death_of_the_member_that_told_them(cli):
    def numbers():
        """Each declared machine that is not placed is told of, once."""
        return len(cli("events", "--json", "--count", "1000").splitlines())
    vm = VM.replace("desired: stopped\n", "")
    cli("apply", "-f", "-", given=vm.format("e1", "e1"))
    until("there is an event", numbers)
    follower = cli.start("events", "--follow", "--json", "--count", "0")
    try:
        time.sleep(1)
        before = numbers()
        cli.cluster.members[0].kill()
        until("they lead again", lambda: cli.run("vm", "list").returncode in (0, 1))
        cli("apply", "-f", "-", given=vm.format("e2", "e2"))
        until("it has happened", lambda: numbers() > before)
        time.sleep(2)
    finally:
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=PATIENCE)
        cli.cluster.members[0].start()
    told = [json.loads(line) for line in out.splitlines()]
    assert any(e.get("vm") == "e2" for e in told), (out, err)
    found = [e["number"] for e in told]
    expect(found, sorted(set(found)))
    for name in ("e1", "e2"):
        cli("vm", "delete", name)


@check
def of_two_operators_at_once_each_hears_what_became_of_his(cli):
    processes = [subprocess.Popen([cli.program, "apply", "-f", "-", *cli.flags], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) for _ in range(8)]
    for i, process in enumerate(processes):
        process.stdin.write(VM.format("race", f"v{i}") + "---\n" + VM.format("other", f"v{i}"))
        process.stdin.close()
    done = [(p.wait(PATIENCE), p.stdout.read(), p.stderr.read()) for p in processes]
    for status, out, err in done:
        said = "somebody else has changed it" in err
        expect((status, bool(out), said), (2, False, True) if status else (0, True, False))
    winners = [f"v{i}.img" for i, (status, _, _) in enumerate(done) if status == 0]
    volumes = [json.loads(cli("vm", "show", name, "--json"))["spec"]["volume"]
               for name in ("race", "other")]
    assert volumes[0] == volumes[1] and volumes[0] in winners, (volumes, winners)


def run(cluster):
    cli = Cli(cluster)
    cluster.start()
    cluster.leader()
    until("it serves", lambda: cli.run("vm", "list").returncode == 0)
    return run_checks(check.chosen(sys.argv[2:]), (cli,)) == 0


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())

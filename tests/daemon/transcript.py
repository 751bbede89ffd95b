"""Transcripts of etcdctl: what was typed, and what etcd answered. The same lines are given to our
members, which must answer the same.

    # A comment. Empty lines are for the reader.
    $ put a 1                 a command of etcdctl
    < text                    a line of its input
    | OK                      a line that etcd's answer has
    ! Error: ...              a line on standard error
    ? 1                       the exit status, where it is not 0
    ~| OK                     ours, where ours is another on purpose: in place of all of the above;
    ~                         ours is empty

In front of the command may stand

    {L} =                     remembers the lease that it tells: {L} stands for it from here on
    sorted                    its lines come in any order
    await N                   repeats it until it answers N lines
    start W N                 leaves it running as W, and reads N lines
    more W N, end W           reads N lines more of W; ends it by SIGTERM

What differs from run to run stands as a name in braces: {client-1}, {peer-1} and {member-1} of
node-1, which leads when a transcript begins; {member}, whichever it was that answered; {cluster},
{term}, {index}, {time}, {left}, {size}, {hash}, {number}, and {lease}
of a queue.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time

PATIENCE = 30
PATIENT = ["--dial-timeout=15s", "--command-timeout=15s"]  # a machine may be busy

NUMBERS = "raft_?[tT]erm|raft(?:Applied)?Index|dbSize(?:InUse)?|hash"
VARYING = [
    (re.compile(r'("(?:member_id|MemberID)" ?: ?)\{member-\d\}'), r"\1{member}"),
    (re.compile(r'("ttl":|"TTL" : |remaining\()\d+'), r"\1{left}"),
    (re.compile(r"/[0-9a-f]{13,16}\b"), r"/{lease}"),
    (re.compile(r"(took = )[0-9.]+[mµn]?s"), r"\1{time}"),
    (re.compile(rf'("(?:{NUMBERS})":)\d+'), r"\1{number}"),
    (re.compile(r'("(?:RaftTerm|Raft(?:Applied)?Index|DBSize(?:InUse)?|Hash)" : )\d+'),
     r"\1{number}"),
    (re.compile(r'("(?:took|Took)" ?: ?)"[0-9.]+[mµn]?s"'), r"\1{time}"),
    (re.compile(r'(version" ?: ?)"3[0-9.]+"', re.IGNORECASE), r"\1{version}"),
    (re.compile(r"3\.\d\.\d+, [0-9.]+ [kM]?B, (true|false), (true|false), \d+, \d+, \d+"),
     r"{version}, {size}, \1, \2, {term}, {index}, {index}"),
    (re.compile(r"3\.\d\.\d+ \| [0-9.]+ [kM]?B \| (true|false) \| (true|false) \| \d+ \| \d+ \| \d+"),
     r"{version} | {size} | \1 | \2 | {term} | {index} | {index}"),
    (re.compile(r"(\| true \| )[0-9.]+[mµn]?s"), r"\1{time}"),
    (re.compile(r"(\{client-\d\},? \|? ?)\d+( \||$)"), r"\1{hash}\2"),
]


class Step:
    def __init__(self, number, words):
        self.number = number
        self.words = words
        self.given = []
        self.theirs = []
        self.ours = None

    def wanted(self, is_ours):
        return self.ours if is_ours and self.ours is not None else self.theirs


def parse(text):
    """Steps of a transcript; and what stands between them, for the writing of it."""
    parts = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            parts.append(Step(number, line[2:]))
        elif line[:1] in ("<", "|", "!", "?"):
            list_of = parts[-1].given if line[0] == "<" else parts[-1].theirs
            list_of.append(line[2:] if line[0] == "<" else line)
        elif line.startswith("~"):
            step = parts[-1]
            step.ours = (step.ours or []) + ([line[1:]] if line[1:] else [])
        else:
            parts.append(line)
    return parts


def write(parts):
    lines = []
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
            continue
        lines += [f"$ {part.words}", *(f"< {line}".rstrip() for line in part.given), *part.theirs]
        if part.ours is not None:
            lines += [f"~{line}" for line in part.ours or [""]]
    return "\n".join(lines) + "\n"


def protobuf_fields(message):
    """The fields of a protobuf message but the first one, which is the header."""
    lines, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        content = varint()
        if tag & 7 == 2:
            at += content
            content = message[at - content:at].hex()
        if tag >> 3 != 1:
            lines.append(f"field {tag >> 3}: {content}")
    return "\n".join(lines) + "\n"


def unpadded(line):
    """etcdctl pads an id that has a digit less than others."""
    return re.sub(r" +", " ", line) if line.startswith("Member ") else line


class Session:
    """etcdctl at three members, whoever made them."""

    def __init__(self, clients, peers):
        self.clients = clients
        self.endpoints = f"--endpoints={','.join(clients)}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
        self.env["ETCDCTL_API"] = "3"
        self.names = {}   # of what differs from run to run
        self.values = {}  # and what they stand for in a command
        self.running = {}
        members = self.members()
        self.learn(members["header"]["cluster_id"], "{cluster}")
        for member in members["members"]:
            self.learn(member["ID"], f"{{member-{member['name'][-1]}}}")
        for number, (client, peer) in enumerate(zip(clients, peers), 1):
            for name, value in ((f"{{client-{number}}}", client), (f"{{peer-{number}}}", peer)):
                self.names[value], self.values[name] = name, value
        self.lead(members["members"])

    def learn(self, number, name):
        self.names[str(number)] = self.names[f"{number:x}"] = self.names[f"{number:016x}"] = name
        self.values[name] = f"{number:x}"

    def members(self):
        """The members, once all of them have said what they are called."""
        end = time.monotonic() + PATIENCE
        while True:
            members = json.loads(self.output("member", "list", "-w", "json"))
            if all("name" in member for member in members["members"]):
                return members
            if time.monotonic() > end:
                raise TimeoutError("a member has not said its name")
            time.sleep(0.05)

    def lead(self, members):
        """node-1 leads."""
        target = next(m["ID"] for m in members if m["name"] == "node-1")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            said = json.loads(self.output("endpoint", "status", "-w", "json"))
            leaders = {s["Status"].get("leader") for s in said}
            if leaders == {target}:
                return
            at = next((s["Endpoint"] for s in said
                       if s["Status"]["header"]["member_id"] in leaders), self.clients[0])
            self.run([f"--endpoints={at}", "move-leader", f"{target:x}"])
        raise TimeoutError("node-1 does not lead")

    def command(self, args):
        chooses = any(arg.startswith("--endpoints") for arg in args)
        return ["etcdctl", *PATIENT, *([] if chooses else [self.endpoints]), *args]

    def run(self, args, given=None):
        return subprocess.run(self.command(args), env=self.env, input=given, capture_output=True,
                              timeout=PATIENCE)

    def output(self, *args):
        done = self.run(args)
        if done.returncode:
            raise OSError(f"etcdctl {' '.join(args)}: {done.stderr.decode()}")
        return done.stdout

    def named(self, text):
        for value in sorted(self.names, key=len, reverse=True):
            text = text.replace(value, self.names[value])
        for pattern, name in VARYING:
            text = pattern.sub(name, text)
        return text

    def lines(self, done, words):
        """What a command said, as a transcript has it."""
        stdout = done.stdout
        if "protobuf" in words:
            stdout = protobuf_fields(stdout).encode()
        said = []
        for mark, content in (("|", stdout), ("!", done.stderr)):
            for line in content.decode(errors="backslashreplace").splitlines():
                if line.startswith('{"level"'):
                    continue
                if "table" in words:
                    line = re.sub(r" +", " ", re.sub(r"--+", "--", line))
                line = unpadded(line)
                if line.startswith("ETCD_INITIAL_CLUSTER="):
                    line = "ETCD_INITIAL_CLUSTER=" + ",".join(sorted(line[22:-1].split(",")))
                said.append(f"{mark} {self.named(line)}".rstrip())
        if done.returncode:
            said.append(f"? {done.returncode}")
        return said

    def resolve(self, words):
        return [re.sub(r"\{[\w-]+\}", lambda m: self.values.get(m[0], m[0]), word)
                for word in words]

    def do(self, step):
        """The lines that a step's command says."""
        words = shlex.split(step.words)
        given = "".join(line + "\n" for line in step.given).encode()
        said = self.say(words[2:] if words[1:2] == ["="] else words, given)
        if words[1:2] == ["="]:
            found = re.search(r"(?:lease |Member +)([0-9a-f]{15,16}) ", "\n".join(said))
            if not found:
                return said
            self.learn(int(found[1], 16), words[0])
            return [line.replace(found[1], words[0]) for line in said]
        return said

    def say(self, words, given):
        if words[0] == "start":
            return self.start(words[1], int(words[2]), self.resolve(words[3:]), given)
        if words[0] in ("more", "end"):
            return self.go_on(words[1], int(words[2]) if words[0] == "more" else None)
        if words[0] == "await":
            return self.wait_for(int(words[1]), words[2:])
        if words[0] == "sorted":
            return sorted(self.say(words[1:], given))
        return self.lines(self.run(self.resolve(words), given), words)

    def wait_for(self, count, words):
        end = time.monotonic() + PATIENCE
        while True:
            said = self.lines(self.run(self.resolve(words)), words)
            if len(said) == count or time.monotonic() > end:
                return said
            time.sleep(0.05)

    def start(self, name, count, args, given):
        process = subprocess.Popen(self.command(args), env=self.env,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.running[name] = process
        process.stdin.write(given)
        process.stdin.flush()
        return self.read(process, count)

    def read(self, process, count):
        impatience = threading.Timer(PATIENCE, process.kill)
        impatience.start()
        said = [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]
        impatience.cancel()
        return [f"| {self.named(line)}".rstrip() for line in said]

    def go_on(self, name, count):
        process = self.running[name]
        if count is not None:
            return self.read(process, count)
        del self.running[name]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        return []

    def close(self):
        for process in self.running.values():
            process.kill()
            process.communicate()

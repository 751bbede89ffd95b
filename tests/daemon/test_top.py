#!/usr/bin/env python3
"""test_top.py BUILD: `novacron top` on three members, one of which dies: on a pseudo-terminal as a
person sees it, and as scripts use it.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from checks import PATIENCE, Checks, run_checks
from scene import with_cluster

from local_cluster import free_ports

check = Checks()


def once(cluster, *args, endpoints=None):
    command = [cluster.build / "cli/novacron", "top", "--once", "--interval", "0.3", "--endpoints",
               endpoints or cluster.endpoints, *args]
    return subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE)


class Screen:
    """The program on a pseudo-terminal. What it shows is kept by lines: it draws whole frames, each
    from the top left corner on."""

    def __init__(self, cluster, columns=80, rows=24):
        self.main, self.terminal = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.terminal)
        command = [cluster.build / "cli/novacron", "top", "--endpoints",
                   cluster.members[0].client_url, "--interval", "0.3"]
        self.process = subprocess.Popen(command, stdin=self.terminal, stdout=self.terminal,
                                        stderr=self.terminal, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
        self.seen = b""

    def resize(self, columns, rows):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, patience=0.1):
        while select.select([self.main], [], [], patience)[0]:
            self.seen += os.read(self.main, 65536)

    def frame(self):
        """The last whole one, as lines."""
        frames = self.seen.split(b"\x1b[H")[1:]
        whole = [f for f in frames if f.endswith(b"\x1b[J") or b"\x1b[J" in f]
        text = whole[-1].split(b"\x1b[J")[0].decode() if whole else ""
        return re.sub(r"\x1b\[K\r?", "", text).replace("\r", "").split("\n")

    def wait(self, wanted, patience=PATIENCE):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.read()
            if any(re.search(wanted, line) for line in self.frame()):
                return self.frame()
        raise AssertionError(f"no {wanted!r} in {self.frame()}")

    def end(self):
        status = self.process.wait(PATIENCE)
        self.read()
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.terminal)


@check
def prints_one_frame_for_pipes(cluster):
    done = once(cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 answer" in done.stdout and "\x1b" not in done.stdout, done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert len(re.findall(r"(?m)^node-\d +(LEADER|follower) .* ok$", done.stdout)) == 3, done.stdout
    piped = subprocess.run([cluster.build / "cli/novacron", "top", "--endpoints",
                            cluster.endpoints], text=True, capture_output=True, timeout=PATIENCE)
    assert piped.returncode == 0 and "3 of 3 answer" in piped.stdout, piped


@check
def finds_all_members_from_one(cluster):
    subprocess.run([cluster.build / "cli/novacron", "kv", "put", "a", "b", "--endpoints",
                    cluster.endpoints], check=True, stdout=subprocess.DEVNULL)
    done = once(cluster, "--json", endpoints=cluster.members[1].client_url)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    assert said["answering"] == 3 and said["leader"] in {m.name for m in cluster.members}, said
    assert [m["name"] for m in said["members"]] == ["node-1", "node-2", "node-3"]
    for member in said["members"]:
        assert member["health"] == "ok" and member["puts_per_s"] is not None, member
        assert member["disk_available_bytes"] > 0 and member["term"] >= 1, member


@check
def shows_a_line_of_json_each_round(cluster):
    command = [cluster.build / "cli/novacron", "top", "--json", "--interval", "0.2", "--endpoints",
               cluster.endpoints]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert all(line["answering"] == 3 for line in lines)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


@check
def says_what_is_wrong_with_the_command_line(cluster):
    done = once(cluster, "--interval", "often")
    assert done.returncode == 64 and "seconds" in done.stderr, done
    port = free_ports(1)[0]
    done = once(cluster, endpoints=f"127.0.0.1:{port}")
    assert done.returncode == 2 and "it cannot be reached" in done.stdout, done


@check
def keeps_to_the_screen_when_it_is_resized(cluster):
    screen = Screen(cluster)
    try:
        screen.wait("3 of 3 answer")
        for columns, rows in ((60, 8), (132, 40), (80, 24)):
            screen.seen = b""
            screen.resize(columns, rows)
            screen.process.send_signal(signal.SIGWINCH)
            frame = screen.wait("of 3 answer")
            assert len(frame) <= rows, (rows, frame)
            assert max(map(len, frame)) <= columns, (columns, frame)
    finally:
        screen.close()


@check
def shows_since_when_a_member_is_down_and_that_it_is_back(cluster):
    leader = cluster.leader()
    victim = [m for m in cluster.members[1:] if m is not leader][0]
    screen = Screen(cluster)
    try:
        screen.wait("3 of 3 answer")
        victim.kill()
        frame = screen.wait(rf"{victim.name} +DOWN +since \d\d:\d\d:\d\d, \d+ s: it cannot be reached")
        assert "2 of 3 answer" in frame[0], frame
        assert once(cluster).returncode == 1
        victim.start()
        screen.wait(rf"{victim.name} +follower ")
        victim.send(signal.SIGSTOP)
        screen.wait(rf"{victim.name} +DOWN +since .*it does not answer")
        victim.send(signal.SIGCONT)
        screen.wait("3 of 3 answer")
    finally:
        victim.send(signal.SIGCONT)
        screen.close()


@check
def goes_on_when_the_member_that_was_named_dies(cluster):
    named = cluster.members[0]
    screen = Screen(cluster)
    try:
        screen.wait("3 of 3 answer")
        named.kill()
        screen.wait(rf"{named.name} +DOWN ")
        screen.wait("2 of 3 answer  leader node-")
        screen.seen = b""
        screen.wait("2 of 3 answer  leader node-")
        assert not any("nobody says" in line for line in screen.frame()), screen.frame()
        named.start()
        screen.wait("3 of 3 answer")
    finally:
        screen.close()


@check
def gives_the_terminal_back(cluster):
    for how in ("q", signal.SIGTERM, signal.SIGINT):
        screen = Screen(cluster)
        try:
            screen.wait("3 of 3 answer")
            assert termios.tcgetattr(screen.terminal) != screen.before
            if how == "q":
                os.write(screen.main, b"xq")
            else:
                screen.process.send_signal(how)
            assert screen.end() == 0
            assert screen.seen.endswith(b"\x1b[?25h\x1b[?1049l"), screen.seen[-40:]
            assert termios.tcgetattr(screen.terminal) == screen.before
        finally:
            screen.close()


@check
def gives_the_terminal_back_while_it_is_stopped(cluster):
    screen = Screen(cluster)
    try:
        screen.wait("3 of 3 answer")
        screen.process.send_signal(signal.SIGTSTP)
        end = time.monotonic() + PATIENCE
        stat = Path(f"/proc/{screen.process.pid}/stat")
        while stat.read_text().rsplit(")")[1].split()[0] != "T" and time.monotonic() < end:
            time.sleep(0.01)
        screen.read()
        assert screen.seen.endswith(b"\x1b[?25h\x1b[?1049l"), screen.seen[-40:]
        assert termios.tcgetattr(screen.terminal) == screen.before
        screen.seen = b""
        screen.process.send_signal(signal.SIGCONT)
        screen.wait("3 of 3 answer")
    finally:
        screen.close()


def run(cluster):
    cluster.start()
    cluster.leader()
    return run_checks(check.functions, (cluster,)) == 0


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())

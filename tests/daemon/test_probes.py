#!/usr/bin/env python3
"""test_probes.py BUILD: applications of a host that a daemon probes: by TCP, HTTP and commands; what
becomes of what is not ready: in the log, at /metrics, in `novacron health`. Under a minute.
"""

import http.server
import json
import socket
import sys
import threading
from pathlib import Path

from scene import Scene, check, expect, run_checks, until

PROBES = """health:
  probes:
    - name: line
      kind: tcp
      target: 127.0.0.1:{tcp}
      period_ms: 300
    - name: shop
      kind: http
      target: 127.0.0.1:{http}/healthz
      text: all is well
      period_ms: 300
    - name: disk
      kind: command
      command: [/bin/sh, {script}, an argument]
      period_ms: 300
      timeout_ms: 250
"""


class Shop(http.server.BaseHTTPRequestHandler):
    """An application that answers with what the test has told it."""
    status = 200

    def do_GET(self):
        assert self.path == "/healthz", self.path
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"all is well")

    def log_message(self, *_):
        pass


class Host:
    """What the probed host has: a port, a server, a script."""

    def __init__(self, directory):
        self.listener = None
        self.tcp = self.free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.script = Path(directory) / "check.sh"
        self.say("exit 0")

    @staticmethod
    def free_port():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.tcp))

    def say(self, text):
        new = self.script.with_suffix(".new")
        new.write_text(f'[ "$1" = "an argument" ] || exit 9\n{text}\n')
        new.rename(self.script)

    def config(self):
        return PROBES.format(tcp=self.tcp, http=self.server.server_port, script=self.script)


def metric(member, name, **labels):
    wanted = name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
    for line in member.page("/metrics").splitlines():
        if line.startswith(wanted + " "):
            return float(line.split()[1])
    return None


def application(scene, member, host):
    """State and reason of the rung of a host's applications, as a member has it."""
    said = json.loads(scene.run("health", host.name, "--json", members=[member]).stdout)
    rung = next(r for r in said["rungs"] if r["name"] == "application")
    return rung["state"], rung.get("reason", ""), said["member"]["condition"]


@check
def applications_are_ready_or_not_and_everybody_hears_of_it(build):
    scene = Scene(build)
    host = Host(scene.dir)
    host.listen()
    one, two = scene.members[:2]
    one.config.write_text(one.config.read_text() + host.config())
    with scene:
        names = ("line", "shop", "disk")
        until("all are ready",
              lambda: all(metric(one, "novacron_probe_ready", probe=p) == 1 for p in names))
        until("the rung is well", lambda: application(scene, two, one)[0] == "well")
        expect(application(scene, one, one)[1], "3 of 3 applications are ready")
        expect(application(scene, two, two)[:2], ("unknown", "nothing is probed"))
        Shop.status = 503
        until("the rung is degraded", lambda: application(scene, two, one)[0] == "degraded")
        expect(application(scene, two, one)[1:], ("1 of 3 applications are not ready", "degraded"))
        expect(application(scene, one, one)[1], "shop: 503 instead of 200-399")
        expect(metric(one, "novacron_probe_ready", probe="shop"), 0)
        expect(metric(one, "novacron_probe_ready", probe="line"), 1)
        assert metric(one, "novacron_probe_answers_total", probe="shop", outcome="failure") >= 3
        assert scene.run("health", one.name, members=[two]).returncode == 1
        assert "shop: 503 instead" in scene.run("health", one.name, members=[one]).stdout
        assert "503 instead of 200-399" in one.log.read_text()
        Shop.status = 200
        until("it is ready again", lambda: metric(one, "novacron_probe_ready", probe="shop") == 1)
        until("the rung is well again", lambda: application(scene, two, one)[0] == "well",
              patience=60)
        host.listener.close()
        until("the port is missed", lambda: metric(one, "novacron_probe_ready", probe="line") == 0)
        expect(application(scene, one, one)[1], "line: connection refused")


@check
def commands_that_fail_hang_or_fork_are_told_and_leave_nothing(build):
    scene = Scene(build, size=1)
    host = Host(scene.dir)
    one = scene.members[0]
    host.listen()
    one.config.write_text(one.config.read_text() + host.config())
    with scene:
        until("it is ready", lambda: metric(one, "novacron_probe_ready", probe="disk") == 1)
        host.say("echo looking; echo no route to database >&2; exit 2")
        until("it is not", lambda: "exit 2: no route to database" in application(scene, one, one)[1])
        pids = Path(scene.dir) / "pids"
        host.say(f"setsid sleep 1000 & echo $! >>{pids}; sleep 1000 & echo $! >>{pids}; wait")
        until("it hangs", lambda: "disk: no exit within 2" in application(scene, one, one)[1])
        host.say("exit 0")
        until("it is ready again", lambda: metric(one, "novacron_probe_ready", probe="disk") == 1)

        def left():
            return [pid for pid in pids.read_text().split() if is_running(pid)]
        until("nothing is left", lambda: not left())


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(run_checks())

#!/usr/bin/env python3
"""test_ladder.py BUILD: how real QEMU machines are, on three hosts: guests whose agent answers, hangs
or fails, processes that stand still, and a service that is asked by HTTP; what ends a machine, what
does not, and what `novacron health` says of it. Bound to counts and orders, not to times.
"""

import http.server
import json
import os
import signal
import sys
import threading
import time

from checks import Checks, expect, until
from farm import Farm, with_farm

PATIENCE = 60
check = Checks()


class LadderFarm(Farm):
    def asked(self, name, checks="", append=""):
        """A machine whose guest has an agent; what is asked of it; its kernel's command line."""
        text = self.machine(name, "restart: {delay_ms: 100, limit: 100}\n" + checks)
        kernel = f"boot: {{kernel: {self.build / 'demo/guest/tiny-guest.elf'}"
        assert kernel in text
        text = text.replace(kernel, f"{kernel}, append: '{append}'" if append else kernel)
        return text + "  guest_agent: serial\n"

    def begin_asked(self, name, checks="", append=""):
        done = self.declare(self.asked(name, checks, append))
        expect((done.returncode, done.stdout + done.stderr if done.returncode else ""), (0, ""))
        return until(f"{name} runs", lambda: self.runs_at(name), PATIENCE)

    def health(self, name):
        """The exit status, and the rungs by their names."""
        done = self.run("health", name, "--json")
        said = json.loads(done.stdout)
        return done.returncode, {r["rung"]: r for r in said["rungs"]}, said

    def state(self, name, rung):
        return self.health(name)[1][rung]["state"]

    def unwell(self, name):
        """Each time that its ladder ended it."""
        return self.events("vm-unwell", name, "--count", "500")

    def nobody_was_fenced(self):
        for name in self.names:
            expect((self.fate(name), self.bmcs[name].is_on), ("up", True))


def answering(check_text):
    return f"liveness: {{{check_text}, period_ms: 500, timeout_ms: 2000, failures: 4}}\n"


# --- what is told ---------------------------------------------------------------------------------

@check
def a_machine_that_is_well_is_told_rung_by_rung(farm):
    farm.begin_asked("well", answering("ask: exec, command: [/counter]") +
               "readiness: {ask: agent, period_ms: 500, timeout_ms: 2000}\n")
    until("all rungs are well", lambda: farm.health("well")[0] == 0 and
          farm.state("well", "agent") == "well", PATIENCE)
    status, rungs, said = farm.health("well")
    expect([rungs[r]["state"] for r in ("process", "qmp", "agent", "startup", "liveness",
                                         "readiness")],
           ["well", "well", "well", "unasked", "well", "well"])
    expect((said["is_well"], said["first_bad"], said["phase"]), (True, "", "running"))
    assert "run /counter" in rungs["liveness"]["asks"], rungs
    assert rungs["liveness"]["answer"].startswith("exit 0: "), rungs
    assert abs(rungs["liveness"]["since_ms"] / 1000 - time.time()) < 3600, rungs
    text = farm.run("health", "well").stdout
    for words in ["well: running on", "when it fails: it is ended after 4 failures in a row",
                  "asked: ping its guest agent"]:
        assert words in text, text
    expect(farm.run("vm", "health", "nobody").returncode, 2)
    expect(farm.run("health", "nobody").returncode, 2)
    assert "alive" in farm.run("health", farm.names[0]).stdout  # a host's name is a host's


@check
def readiness_that_fails_is_told_and_ends_nothing(farm):
    host = farm.begin_asked("unready", "readiness: {ask: exec, command: [/fails], period_ms: 500, "
                                 "timeout_ms: 2000, failures: 2}\n")
    epoch = farm.owner("unready")["epoch"]
    until("it is told", lambda: farm.state("unready", "readiness") == "bad", PATIENCE)
    status, rungs, said = farm.health("unready")
    expect((status, said["first_bad"], rungs["readiness"]["answer"]), (1, "readiness", "exit 3"))
    assert "not well: readiness: exit 3" in farm.run("vm", "list").stdout
    assert "readiness: exit 3; it is only told" in farm.run("vm", "explain", "unready").stdout
    time.sleep(3)
    expect((farm.runs_at("unready"), farm.owner("unready")["epoch"]), (host, epoch))
    page = farm.member(host).page("/metrics")
    assert 'novacron_vm_health{vm="unready",rung="readiness"} 0' in page, page
    assert 'novacron_vm_health{vm="unready",rung="qmp"} 1' in page, page
    farm.remove("unready")


# --- what ends a machine --------------------------------------------------------------------------

@check
def a_guest_that_stands_still_is_started_anew(farm):
    # Its process answers, and its agent does not: three seconds after each start.
    farm.begin_asked("hangs", answering("ask: agent"), "hang=30")
    first = farm.owner("hangs")["epoch"]
    until("it was ended, and runs again", lambda: farm.unwell("hangs") and
          farm.owner("hangs")["epoch"] > first and farm.runs_at("hangs"), PATIENCE)
    event = farm.unwell("hangs")[0]
    assert "it was not alive, 4 times in a row when asked to ping its guest agent" in \
        event["detail"], event
    expect(farm.owner("hangs")["restarts"], len(farm.unwell("hangs")))
    counted = farm.counter("hangs")
    until("it counts on", lambda: farm.counter("hangs") > counted, PATIENCE)
    farm.nobody_was_fenced()
    farm.remove("hangs")


@check
def a_process_that_stands_still_is_ended_once_its_time_is_over(farm):
    host = farm.begin_asked("stopped", "mute_ms: 10000\n")
    other = farm.owner("well")["epoch"]
    before = farm.owner("stopped")
    old = farm.pids("stopped")
    os.kill(old[0], signal.SIGSTOP)
    until("it is told", lambda: farm.state("stopped", "qmp") == "bad", PATIENCE)
    until("lists say what `status` says", lambda: "its process does not answer" in
          farm.run("vm", "list").stdout, PATIENCE)
    until("it runs as another process", lambda: farm.runs_at("stopped") and
          farm.owner("stopped")["epoch"] > before["epoch"] and
          farm.pids("stopped") not in ([], old), PATIENCE)
    expect(len(farm.unwell("stopped")), 1)
    assert "did not answer on QMP" in farm.unwell("stopped")[0]["detail"]
    expect((farm.runs_at("stopped"), farm.owner("stopped").get("failures")), (host, 1))
    time.sleep(5)
    expect((len(farm.unwell("stopped")), farm.owner("well")["epoch"]), (1, other))
    page = farm.member(host).page("/metrics")
    assert "novacron_vm_unwell_ends_total 0" not in page, page
    farm.nobody_was_fenced()
    farm.remove("stopped")


class Service(http.server.BaseHTTPRequestHandler):
    status = 200
    asked = 0

    def do_GET(self):
        Service.asked += 1
        self.send_response(Service.status if self.path == "/live" else 404)
        self.end_headers()

    def log_message(self, *args):
        pass


@check
def a_service_is_asked_by_http_and_its_machine_ended_for_it(farm):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        port = server.server_address[1]
        farm.begin_asked("serves", answering(f"ask: http, address: 127.0.0.1, port: {port}, path: /live"))
        until("it is well", lambda: farm.state("serves", "liveness") == "well", PATIENCE)
        Service.status = 500
        until("it was ended", lambda: farm.unwell("serves"), PATIENCE)
        assert "500 instead of 200-399" in farm.unwell("serves")[0]["detail"]
        Service.status = 200
        until("it is well again", lambda: farm.runs_at("serves") and
              farm.state("serves", "liveness") == "well", PATIENCE)
        assert Service.asked > 4
        farm.remove("serves")
    finally:
        server.shutdown()


# --- what does not --------------------------------------------------------------------------------

@check
def daemons_that_stand_still_end_nobody(farm):
    """All of them at once, so that none is suspected; what was asked is over when they go on."""
    farm.begin_asked("watched", "policy: keep\nliveness: {ask: exec, command: [/counter], period_ms: 1000, "
                          "timeout_ms: 2000, failures: 1}\n")
    until("it is well", lambda: farm.state("watched", "liveness") == "well", PATIENCE)
    epoch = farm.owner("watched")["epoch"]
    pids = [farm.daemon_pid(name) for name in farm.names]
    for _ in range(3):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(3)
    until("it runs on", lambda: farm.runs_at("watched"), PATIENCE)
    expect((farm.unwell("watched"), farm.owner("watched")["epoch"]), ([], epoch))
    said = [line for name in farm.names for line in
            farm.member(name).log.read_text().splitlines() if "msg=paused" in line]
    assert said, "nobody noticed"
    farm.remove("watched")


@check
def no_machine_lived_twice_and_no_counter_went_back(farm):
    farm.remove("well")
    farm.witness_saw_nothing_wrong()


def begin(farm):
    farm.begin("kind: settings\nlease_ms: 9000\n")
    farm.witness.start()


def main():
    return with_farm(check, begin, LadderFarm)


if __name__ == "__main__":
    sys.exit(main())

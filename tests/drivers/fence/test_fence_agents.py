#!/usr/bin/env python3
"""test_fence_agents.py BUILD: the fence driver with real agents: fence_ipmilan against ipmi_sim, whose
power switch kills real processes; fence_dummy; and agents of our own that misbehave. The names that
begin with fencing_NN prove the rows of docs/scenarios "VMs, hosts, fencing" with processes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/daemon")]

import local_bmc  # noqa: E402
from checks import Checks, Skip, expect, run_checks, until  # noqa: E402

check = Checks()

# Deadlines, in ms: for what has to succeed, on a machine that has much else to do; and for what has
# to run into it.
LONG = 30000
SHORT = 3000

METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_own"><parameters>
<parameter name="mode"><content type="string"/></parameter>
</parameters><actions><action name="on"/><action name="off"/><action name="reboot"/>
<action name="status"/><action name="metadata"/></actions></resource-agent>
"""


class Desk:
    """The driver, as a process."""

    def __init__(self, build):
        self.process = subprocess.Popen([Path(build) / "tests/drivers/fence/fence-desk"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={"SECRET_OF_OURS": "1"})
        self.news = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        expect(self.process.wait(20), 0)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        while True:
            answer = self.process.stdout.readline()
            assert answer, "the desk has died"
            if not answer.startswith("news "):
                return answer.strip()
            self.news.append(answer.strip())

    def set(self, name, agent, params, seen_on=False):
        words = " ".join(f"{k}={v}" for k, v in params.items())
        expect(self.say(f"set {name} {agent} {int(seen_on)} {words}"), "set OK")
        return self.say(f"check {name}")

    def ask(self, op, name, deadline=LONG):
        """(error, state, milliseconds)"""
        error, state, took = self.say(f"{op} {name} {deadline}").split()
        return error, state, int(took)

    def expect(self, op, name, wanted, deadline=LONG):
        found = self.ask(op, name, deadline)
        assert found[0] == wanted, (found, self.news)
        return found


class Bench:
    """A desk, a folder, and a controller with a host of one process."""

    def __init__(self, build, needs_bmc=True):
        if needs_bmc and not local_bmc.is_installed():
            raise Skip("openipmi, ipmitool or fence-agents are not installed")
        self.build = build
        self.needs_bmc = needs_bmc
        self.bmc = None
        self.host = None

    def __enter__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="novacron-fence-"))
        self.desk = Desk(self.build)
        try:
            if self.needs_bmc:
                self.start_bmc()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_bmc(self):
        self.bmc = local_bmc.LocalBmc(self.dir / "bmc", "node-1")
        self.mark = f"NOVACRON_TEST_HOST={self.dir.name}"
        self.bmc.add("mark", self.mark)
        self.boot()
        self.bmc.start()
        expect(self.desk.set("bmc", "fence_ipmilan", self.bmc.params), "check 1")

    def boot(self):
        """A process with a child in a session of its own, as a daemon with its QEMU."""
        name, value = self.mark.split("=")
        self.host = subprocess.Popen(
            ["/bin/sh", "-c", "setsid sleep 1000 & echo $!; exec sleep 1000"],
            env={"PATH": "/usr/bin:/bin", name: value}, stdout=subprocess.PIPE, text=True)
        self.child = int(self.host.stdout.readline())

    def host_lives(self):
        return self.host.poll() is None or is_running(self.child)

    def __exit__(self, *_):
        try:
            self.desk.__exit__()
        finally:
            if self.bmc:
                self.bmc.stop()
                self.bmc.lose_power()
                if self.host:
                    self.host.wait()
            shutil.rmtree(self.dir)

    def agent(self, script):
        """An agent of our own: METADATA, and what `script` does with $action."""
        path = self.dir / "fence_own"
        (self.dir / "metadata").write_text(METADATA)
        path.write_text("#!/bin/sh\n"
                        "while read -r line; do\n"
                        'case $line in action=*) action=${line#action=} ;; esac\n'
                        "done\n"
                        f'dir={self.dir}\n'
                        f'[ "$action" = metadata ] && exec cat {self.dir}/metadata\n{script}\n')
        path.chmod(0o755)
        return str(path)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@check
def ipmi_tells_the_power_and_switches_it(build):
    with Bench(build) as b:
        expect(b.desk.ask("status", "bmc")[:2], ("OK", "ON"))
        b.desk.expect("off", "bmc", "OK")
        assert not b.host_lives()
        expect(b.desk.ask("status", "bmc")[:2], ("OK", "OFF"))
        b.desk.expect("on", "bmc", "OK")
        expect(b.desk.ask("status", "bmc")[:2], ("OK", "ON"))
        expect(b.bmc.commands(), [0, 1])


@check
def off_of_a_host_that_lost_its_power_is_read_from_its_controller(build):
    with Bench(build) as b:
        b.desk.expect("status", "bmc", "OK")
        b.bmc.lose_power()
        until("its processes are gone", lambda: not b.host_lives())
        b.desk.expect("off", "bmc", "OK")
        expect(b.bmc.commands(), [0])  # that was the loss: nothing was switched


@check
def fencing_01_dead_controller_is_cut_off_at_our_deadline(build):
    with Bench(build) as b:
        b.desk.expect("status", "bmc", "OK")
        b.bmc.set_unreachable(True)
        for op in ("off", "status"):
            error, state, took = b.desk.ask(op, "bmc", SHORT)
            assert error in ("ERR_TIMEOUT", "ERR_IO"), error
            expect(state, "UNKNOWN")
            assert took < 15000, took  # the agent by itself takes 21 s
        assert b.host_lives()
        b.bmc.set_unreachable(False)
        b.desk.expect("off", "bmc", "OK")


@check
def fencing_02_answer_that_is_lost_is_read_back(build):
    with Bench(build) as b:
        b.desk.expect("status", "bmc", "OK")
        b.bmc.set_faults(loses_answers=1)
        b.desk.expect("off", "bmc", "ERR_TIMEOUT", SHORT)
        assert not b.host_lives()  # and nobody was told
        b.bmc.set_faults()
        b.bmc.set_unreachable(False)
        b.desk.expect("off", "bmc", "OK")


@check
def fencing_03_controller_that_accepts_and_leaves_the_power_on_is_not_off(build):
    with Bench(build) as b:
        b.desk.expect("status", "bmc", "OK")
        b.bmc.set_faults(stays_on=1)
        found = b.desk.ask("off", "bmc", SHORT)
        assert found[0] != "OK", found
        assert b.host_lives()
        expect(b.desk.ask("status", "bmc")[:2], ("OK", "ON"))
        b.bmc.set_faults(refuses=1)
        assert b.desk.ask("off", "bmc", SHORT)[0] != "OK"
        b.bmc.set_faults(lag=1)  # it takes its time, and does it
        b.desk.expect("off", "bmc", "OK")
        assert not b.host_lives()


@check
def fencing_04_agent_that_hangs_is_killed_with_all_that_it_started(build):
    with Bench(build, needs_bmc=False) as b:
        agent = b.agent("""[ "$action" = status ] && { echo "Status: ON"; exit 0; }
trap '' TERM HUP INT
(trap '' TERM HUP INT; setsid sh -c 'echo $$ >> '"$dir"'/pids; sleep 1000; true') &
sh -c 'echo $$ >> '"$dir"'/pids; sleep 1000; true' &
echo $$ >> $dir/pids
while :; do sleep 1000; done""")
        expect(b.desk.set("own", agent, {}), "check 1")
        b.desk.expect("status", "own", "OK")
        error, _, took = b.desk.ask("off", "own", SHORT)
        expect(error, "ERR_TIMEOUT")
        assert took < 15000, took
        pids = [int(line) for line in (b.dir / "pids").read_text().split()]
        expect(len(pids), 3)
        until("all of them are gone", lambda: not any(map(is_running, pids)))


@check
def fencing_05_already_off_of_what_nobody_reached_is_never_off(build):
    if not shutil.which("fence_dummy", path="/usr/sbin"):
        raise Skip("fence-agents is not installed")
    with Bench(build, needs_bmc=False) as b:
        file = b.dir / "status"
        expect(b.desk.set("dummy", "fence_dummy", {"status_file": file}), "check 1")
        expect(b.desk.ask("status", "dummy")[:2], ("OK", "UNKNOWN"))
        b.desk.expect("off", "dummy", "ERR_IO")  # the agent says: Success: Already OFF
        assert "never been seen to say on" in b.desk.news[-1], b.desk.news
        file.write_text("on")
        expect(b.desk.ask("status", "dummy")[:2], ("OK", "ON"))
        b.desk.expect("off", "dummy", "OK")
        expect(file.read_text(), "off")


@check
def wrong_password_is_an_error_that_does_not_show_it(build):
    with Bench(build) as b:
        expect(b.desk.set("bmc", "fence_ipmilan", {**b.bmc.params, "password": "wr0ngsecret"}),
               "check 1")
        found = b.desk.ask("status", "bmc", 5000)
        assert found[0] in ("ERR_IO", "ERR_TIMEOUT"), found
        expect(found[1], "UNKNOWN")
        assert b.desk.ask("off", "bmc", 5000)[0] != "OK"
        assert b.host_lives()
        assert not any("wr0ngsecret" in line for line in b.desk.news), b.desk.news


@check
def secrets_are_on_no_command_line_and_in_no_environment_of_the_agent(build):
    with Bench(build, needs_bmc=False) as b:
        (b.dir / "extra").write_text("")
        agent = b.agent("""tr '\\0' '\\n' < /proc/$$/cmdline > $dir/seen
tr '\\0' '\\n' < /proc/$$/environ >> $dir/seen
echo "Status: ON"; exit 0""")
        expect(b.desk.set("own", agent, {"mode": "hush"}), "check 1")
        b.desk.expect("status", "own", "OK")
        seen = (b.dir / "seen").read_text()
        assert "hush" not in seen and "SECRET_OF_OURS" not in seen, seen
        assert "LC_ALL=C" in seen, seen


@check
def agent_that_floods_is_read_to_its_end_and_says_nothing(build):
    with Bench(build, needs_bmc=False) as b:
        agent = b.agent("""[ "$action" = status ] && [ ! -f $dir/floods ] && {
echo "Status: ON"; exit 0; }
head -c 5000000 /dev/zero | tr '\\0' 'x'; head -c 5000000 /dev/zero >&2
echo; echo "Status: OFF"; exit 2""")
        expect(b.desk.set("own", agent, {}), "check 1")
        expect(b.desk.ask("status", "own")[:2], ("OK", "ON"))
        (b.dir / "floods").write_text("")
        expect(b.desk.ask("status", "own")[:2], ("OK", "UNKNOWN"))
        assert b.desk.ask("off", "own", SHORT)[0] != "OK"


@check
def missing_agent_is_told_and_found_once_it_is_installed(build):
    with Bench(build, needs_bmc=False) as b:
        path = b.dir / "fence_own"
        answer = b.desk.set("own", str(path), {})
        assert answer.startswith("check 2 ") and str(path) in answer, answer
        b.desk.expect("status", "own", "ERR_INVALID")
        b.agent('echo "Status: ON"')
        expect(b.desk.ask("status", "own")[:2], ("OK", "ON"))


@check
def agent_that_the_shell_cannot_run_is_not_off(build):
    """Interpreters exit with 2, which of `status` means off, when they do not find the program."""
    with Bench(build, needs_bmc=False) as b:
        agent = b.agent('echo "Status: ON"')
        expect(b.desk.set("own", agent, {}), "check 1")
        expect(b.desk.ask("status", "own")[:2], ("OK", "ON"))
        Path(agent).write_text("#!/usr/bin/python3 /nonexistent.py\n")
        expect(b.desk.ask("status", "own")[:2], ("OK", "UNKNOWN"))
        assert b.desk.ask("off", "own", SHORT)[0] != "OK"


@check
def parameters_of_fence_ipmilan_are_checked_by_its_metadata(build):
    with Bench(build) as b:
        answer = b.desk.set("other", "fence_ipmilan",
                            {"ipadress": "127.0.0.1", "lanplus": "maybe", "method": "hammer"})
        assert answer.startswith("check 2 "), answer
        for word in ("no parameter ipadress", "lanplus is neither", "method is not one of"):
            assert word in answer, answer
        answer = b.desk.set("other", "fence_scsi", {"devices": "/dev/null"})
        assert "cuts something else than the power" in answer, answer


def main():
    failed = run_checks(check.functions, sys.argv[1:2])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    os.environ.pop("NOVACRON_TEST_HOST", None)
    main()

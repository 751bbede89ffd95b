#!/usr/bin/env python3
"""test_guard.py BUILD: novacron-guard as a process, with processes that it holds and a watchdog that
resets a "host" (fake_watchdog.c). The names that begin with fencing_NN prove those rows of "VMs, hosts,
fencing" of the scenarios.
"""

import array
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/daemon")]

from checks import Checks, Skip, expect, run_checks, soon, until  # noqa: E402

check = Checks()

MESSAGE = struct.Struct("<IHHQQQII64sQ")
ANSWER = struct.Struct("<IHHQQQQIIH14s")
MAGIC, ANSWER_MAGIC = 0x3147434E, 0x3141434E
STATUS, LEASE, HOLD = 1, 2, 3
RESULTS = ["OK", "ERR_INVALID", "ERR_EXISTS", "ERR_REFUSED", "ERR_BUSY", "ERR_DENIED"]
WATCHDOGS = ["NONE", "SOFT", "READY", "ARMED"]


def boottime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Answer:
    def __init__(self, bytes_):
        (magic, version, result, self.number, self.instance, self.timeout, self.lease_until,
         self.machines, self.doomed, watchdog, _) = ANSWER.unpack(bytes_)
        expect((magic, version), (ANSWER_MAGIC, 1))
        self.result = RESULTS[result]
        self.watchdog = WATCHDOGS[watchdog]


class Daemon:
    """Who speaks to the guard."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.number = 0

    def send(self, bytes_, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([bytes_], rights)

    def is_gone(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def ask(self, kind, until=0, epoch=0, pid=0, name=b"", fds=()):
        self.number += 1
        self.send(MESSAGE.pack(MAGIC, 1, kind, self.number, until, epoch, pid, 0, name, 0), fds)
        answer = Answer(self.socket.recv(1000))
        expect(answer.number, self.number)
        return answer

    def status(self):
        return self.ask(STATUS)

    def lease(self, seconds):
        return self.ask(LEASE, until=boottime() + int(seconds * 1e9))

    def hold(self, name, process, epoch=1):
        fd = os.pidfd_open(process.pid)
        try:
            return self.ask(HOLD, epoch=epoch, pid=process.pid, name=name.encode(), fds=[fd])
        finally:
            os.close(fd)

    def close(self):
        self.socket.close()


class Host:
    """A guard with a folder, machines, and perhaps a watchdog."""

    def __init__(self, build, watchdog=False, arguments=(), starts=True):
        self.build = Path(build)
        self.wants_watchdog = watchdog
        self.arguments = list(arguments)
        self.starts = starts
        self.machines = []
        self.guard = self.dog = None

    def __enter__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="novacron-guard-"))
        self.path = self.dir / "guard.sock"
        self.victims = self.dir / "victims"
        self.victims.write_text("")
        self.log = self.dir / "dog.log"
        self.log.write_text("")
        try:
            if self.wants_watchdog:
                self.start_dog()
            if self.starts:
                self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in [self.guard, *self.machines]:
            if process:
                process.kill()
                process.wait()
        if self.dog:
            subprocess.run(["umount", "-l", self.dir / "dog"], check=False)
            self.dog.kill()
            self.dog.wait()
        shutil.rmtree(self.dir)

    def start_dog(self):
        program = self.build / "tests/guard/fake-watchdog"
        if not program.exists() or not os.path.exists("/dev/fuse"):
            raise Skip("there is no FUSE, or libfuse3-dev was not there")
        (self.dir / "dog").mkdir()
        self.dog = subprocess.Popen([program, self.dir / "dog", self.log, self.victims],
                                    stderr=subprocess.DEVNULL)
        if not soon(lambda: (self.dir / "dog/watchdog").exists() or self.dog.poll() is not None,
                    10) or self.dog.poll() is not None:
            raise Skip("this user may not mount a FUSE")
        self.arguments += ["--stand-in", str(self.dir / "dog/watchdog"), "--timeout", "2"]

    def start(self):
        with open(self.dir / "guard.log", "ab") as log:
            command = [self.build / "backend/guard/novacron-guard", "--socket", self.path,
                       *self.arguments]
            self.guard = subprocess.Popen(command, stderr=log)
        until("the guard listens", self.path.exists)
        until("it accepts", self.accepts)

    def accepts(self):
        try:
            Daemon(self.path).close()
            return True
        except OSError:
            return False

    def said(self):
        return (self.dir / "guard.log").read_text()

    def machine(self):
        process = subprocess.Popen(["/bin/sleep", "1000"])
        self.machines.append(process)
        with open(self.victims, "a") as victims:
            victims.write(f"{process.pid}\n")
        return process

    def dog_said(self):
        return self.log.read_text().split("\n")[:-1]

    def daemon(self):
        return Daemon(self.path)


def ended(process):
    """By which signal; waits for it."""
    return process.wait(20)


@check
def the_end_of_the_lease_kills_what_is_held(build):
    with Host(build) as host:
        daemon = host.daemon()
        expect(daemon.lease(2).result, "OK")
        began = boottime()
        held, other = host.machine(), host.machine()
        answer = daemon.hold("vm-1", held)
        expect((answer.result, answer.machines, answer.watchdog), ("OK", 1, "NONE"))
        expect(ended(held), -signal.SIGKILL)
        assert boottime() - began >= 1.9e9
        expect(other.poll(), None)
        until("it holds nothing", lambda: daemon.status().machines == 0)


@check
def it_does_so_when_the_daemon_has_died(build):
    with Host(build) as host:
        daemon = host.daemon()
        daemon.lease(2)
        held = host.machine()
        expect(daemon.hold("vm-1", held).result, "OK")
        daemon.close()
        expect(ended(held), -signal.SIGKILL)


@check
def a_lease_that_is_renewed_kills_nobody(build):
    with Host(build) as host:
        daemon = host.daemon()
        daemon.lease(3)
        held = host.machine()
        expect(daemon.hold("vm-1", held).result, "OK")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            expect(daemon.lease(3).result, "OK")
            time.sleep(0.1)
        expect(held.poll(), None)
        expect(daemon.ask(LEASE, until=boottime() + 10**9).result, "ERR_INVALID")  # earlier
        expect(daemon.ask(LEASE, until=boottime() - 1).result, "ERR_INVALID")
        expect(daemon.lease(1000).result, "ERR_INVALID")


@check
def a_daemon_that_is_started_anew_takes_over(build):
    with Host(build) as host:
        first = host.daemon()
        first.lease(30)
        held = host.machine()
        expect(first.hold("vm-1", held).result, "OK")
        second = host.daemon()
        answer = second.status()
        expect((answer.machines, answer.result), (1, "OK"))
        expect(first.status().result, "OK")  # asking takes nothing over
        expect(second.lease(40).result, "OK")
        assert first.is_gone()
        expect(second.hold("vm-1", held).result, "OK")  # as it was
        expect(second.status().machines, 1)
        expect(second.hold("vm-1", host.machine()).result, "ERR_EXISTS")
        expect(held.poll(), None)


@check
def only_its_own_user_and_the_daemons_may_speak(build):
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    with Host(build, arguments=["--user", "4321"]) as host:
        os.chmod(host.dir, 0o755)
        os.chmod(host.path, 0o777)
        for uid, is_let_in in ((4321, True), (4322, False)):
            pid = os.fork()
            if pid == 0:
                try:
                    os.setgid(uid)
                    os.setuid(uid)
                    daemon = host.daemon()
                    os._exit(0 if daemon.status().result == "OK" else 2)
                except BaseException:
                    os._exit(1)
            expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0 if is_let_in else 1)
        assert "user 4322 may not speak to the guard" in host.said(), host.said()


@check
def what_is_no_message_ends_its_connection_and_nothing_else(build):
    with Host(build) as host:
        daemon = host.daemon()
        daemon.lease(30)
        held = host.machine()
        expect(daemon.hold("vm-1", held).result, "OK")
        fd = os.pidfd_open(held.pid)
        file = os.open("/dev/null", os.O_RDONLY)
        good = MESSAGE.pack(MAGIC, 1, HOLD, 1, 0, 1, held.pid, 0, b"vm-2", 0)
        bad = [(b"x", ()), (good + b"x", (fd,)), (good[:-1], (fd,)), (good, ()),
               (good, (fd, fd, fd)), (good, (fd,) * 40),
               (MESSAGE.pack(MAGIC + 1, 1, STATUS, 1, 0, 0, 0, 0, b"", 0), ()),
               (MESSAGE.pack(MAGIC, 2, STATUS, 1, 0, 0, 0, 0, b"", 0), ()),
               (MESSAGE.pack(MAGIC, 1, 9, 1, 0, 0, 0, 0, b"", 0), ()),
               (MESSAGE.pack(MAGIC, 1, STATUS, 1, 0, 0, 0, 0, b"", 0), (fd,)),
               (MESSAGE.pack(MAGIC, 1, HOLD, 1, 0, 1, 1, 0, b"x" * 64, 0), (fd,)),
               (b"\xff" * 112, ()), (b"\0" * 65000, ())]
        for bytes_, fds in bad:
            stranger = host.daemon()
            stranger.send(bytes_, fds)
            assert stranger.is_gone(), bytes_[:20]
            stranger.close()
        before = len(os.listdir(f"/proc/{host.guard.pid}/fd"))
        expect(daemon.ask(HOLD, epoch=1, pid=1, name=b"vm-3", fds=[file]).result, "ERR_INVALID")
        process = subprocess.Popen(["/bin/true"])
        dead = os.pidfd_open(process.pid)
        process.wait()
        expect(daemon.ask(HOLD, epoch=1, pid=1, name=b"vm-3", fds=[dead]).result, "ERR_INVALID")
        expect(daemon.status().machines, 1)
        expect(len(os.listdir(f"/proc/{host.guard.pid}/fd")), before)  # nothing was kept
        for open_fd in (fd, file, dead):
            os.close(open_fd)


@check
def descriptors_that_their_sender_keeps_confuse_nobody(build):
    with Host(build) as host:
        daemon = host.daemon()
        daemon.lease(30)
        kept = []
        for round_ in range(5):
            machine = host.machine()
            kept.append(os.pidfd_open(machine.pid))
            expect(daemon.ask(HOLD, epoch=1, pid=machine.pid, name=b"vm-1",
                              fds=[kept[-1]]).result, "OK")
            machine.kill()
            machine.wait()
            until("it is gone", lambda: daemon.status().machines == 0)
        last = host.machine()
        expect(daemon.hold("vm-1", last).result, "OK")
        time.sleep(0.2)
        expect(daemon.status().machines, 1)
        expect(host.guard.poll(), None)
        for fd in kept:
            os.close(fd)


@check
def a_control_group_goes_with_its_machine(build):
    roots = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    group = next((r for r in roots if r.is_dir()), roots[1]) / f"novacron-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as e:
        raise Skip(f"no control group can be made: {e}") from e
    try:
        if not (group / "cgroup.kill").exists():
            raise Skip("this kernel has no cgroup.kill")
        with Host(build) as host:
            daemon = host.daemon()
            daemon.lease(2)
            machine, child = host.machine(), host.machine()
            for process in (machine, child):
                (group / "cgroup.procs").write_text(str(process.pid))
            fds = [os.pidfd_open(machine.pid), os.open(group / "cgroup.kill", os.O_WRONLY)]
            expect(daemon.ask(HOLD, epoch=1, pid=machine.pid, name=b"vm-1", fds=fds).result, "OK")
            for fd in fds:
                os.close(fd)
            expect(ended(machine), -signal.SIGKILL)
            expect(ended(child), -signal.SIGKILL)
    finally:
        if (group / "cgroup.procs").exists():
            soon(lambda: not (group / "cgroup.procs").read_text(), 5)
        group.rmdir()


@check
def an_empty_host_is_disarmed_and_never_reset(build):
    with Host(build, watchdog=True) as host:
        daemon = host.daemon()
        daemon.lease(30)
        expect((daemon.status().watchdog, host.dog_said()), ("SOFT", []))
        machine = host.machine()
        answer = daemon.hold("vm-1", machine)
        expect((answer.watchdog, answer.timeout), ("SOFT", 5 * 10**9))
        expect(host.dog_said(), ["armed", "timeout 2"])
        time.sleep(4.5)  # it is fed
        expect(host.dog_said(), ["armed", "timeout 2"])
        machine.kill()
        machine.wait()
        until("it is disarmed", lambda: host.dog_said()[-1] == "disarmed")
        host.guard.kill()
        host.guard.wait()
        time.sleep(2.5)
        expect(host.dog_said(), ["armed", "timeout 2", "disarmed"])


@check
def fencing_11_guard_that_stands_still_is_reset_by_the_watchdog(build):
    with Host(build, watchdog=True) as host:
        daemon = host.daemon()
        daemon.lease(2)
        machine = host.machine()
        expect(daemon.hold("vm-1", machine).result, "OK")
        host.guard.send_signal(signal.SIGSTOP)
        expect(ended(machine), -signal.SIGKILL)
        expect(host.dog_said(), ["armed", "timeout 2", "reset"])
        host.guard.send_signal(signal.SIGCONT)


@check
def guard_that_was_killed_is_reset_by_the_watchdog(build):
    with Host(build, watchdog=True) as host:
        daemon = host.daemon()
        daemon.lease(30)
        machine = host.machine()
        expect(daemon.hold("vm-1", machine).result, "OK")
        host.guard.kill()
        expect(ended(machine), -signal.SIGKILL)
        until("it was a reset", lambda: "reset" in host.dog_said())
        assert "bad close" in host.dog_said(), host.dog_said()


@check
def guard_that_is_started_anew_in_time_saves_the_host(build):
    with Host(build, watchdog=True, arguments=["--timeout", "20"]) as host:
        host.arguments += ["--timeout", "20"]
        daemon = host.daemon()
        daemon.lease(30)
        machine = host.machine()
        first = daemon.hold("vm-1", machine)
        host.guard.kill()
        host.guard.wait()
        host.start()
        daemon = host.daemon()
        expect(daemon.lease(30).result, "OK")
        second = daemon.hold("vm-1", machine)
        expect((second.result, second.machines), ("OK", 1))
        assert first.instance != second.instance
        expect(machine.poll(), None)
        assert "reset" not in host.dog_said(), host.dog_said()


@check
def told_to_stop_it_goes_on_until_its_machines_have_ended(build):
    with Host(build, watchdog=True) as host:
        daemon = host.daemon()
        daemon.lease(30)
        machine = host.machine()
        expect(daemon.hold("vm-1", machine).result, "OK")
        host.guard.send_signal(signal.SIGTERM)
        until("it says so", lambda: "told to stop, and holding 1 machines" in host.said())
        expect(daemon.hold("vm-2", host.machine()).result, "ERR_REFUSED")
        expect(daemon.lease(31).result, "OK")
        time.sleep(2.5)
        expect((host.guard.poll(), machine.poll()), (None, None))
        machine.kill()
        machine.wait()
        expect(host.guard.wait(20), 0)
        expect(host.dog_said(), ["armed", "timeout 2", "disarmed"])


@check
def told_to_release_it_ends_its_machines_and_itself(build):
    with Host(build, watchdog=True) as host:
        daemon = host.daemon()
        daemon.lease(30)
        machine = host.machine()
        expect(daemon.hold("vm-1", machine).result, "OK")
        host.guard.send_signal(signal.SIGUSR1)
        expect(ended(machine), -signal.SIGKILL)
        expect(host.guard.wait(20), 0)
        expect(host.dog_said(), ["armed", "timeout 2", "disarmed"])
    with Host(build) as host:  # and one that holds nothing ends at once
        host.guard.send_signal(signal.SIGTERM)
        expect(host.guard.wait(20), 0)


@check
def fencing_09_what_is_no_watchdog_is_not_opened_and_said_to_be_none(build):
    for device, why in (("/dev/null", "it is no watchdog"), ("/etc/passwd", "no character device"),
                        ("/nonexistent", "cannot be looked at")):
        with Host(build, arguments=["--watchdog", device]) as host:
            assert why in host.said(), host.said()
            daemon = host.daemon()
            daemon.lease(2)
            machine = host.machine()
            answer = daemon.hold("vm-1", machine)
            expect((answer.result, answer.watchdog, answer.timeout), ("OK", "NONE", 0))
            expect(ended(machine), -signal.SIGKILL)


@check
def fencing_10_nothing_is_armed_by_a_wrong_configuration(build):
    with Host(build, watchdog=True, starts=False) as host:
        program = host.build / "backend/guard/novacron-guard"
        dog = host.arguments
        for wrong in (["--timeout", "0"], ["--timeout", "x"], ["--socket", "relative"], ["more"],
                      ["--user", "no-such-user-here"], ["--lease-max", "-1"],
                      ["--watchdog", "/dev/watchdog0"], ["--unknown"]):
            run = subprocess.run([program, *dog, *wrong], capture_output=True, timeout=20)
            expect((wrong, run.returncode), (wrong, 2))
            assert b"usage:" in run.stderr, run.stderr
        expect(host.dog_said(), [])
        host.start()
        host.daemon().lease(10)
        expect(host.dog_said(), [])


@check
def one_guard_listens_at_a_socket(build):
    with Host(build) as host:
        daemon = host.daemon()
        daemon.lease(30)
        command = [host.build / "backend/guard/novacron-guard", "--socket", host.path]
        run = subprocess.run(command, capture_output=True, timeout=20)
        expect(run.returncode, 1)
        assert b"another guard does" in run.stderr, run.stderr
        expect(daemon.status().result, "OK")
        run = subprocess.run([*command, "--status"], capture_output=True, text=True, timeout=20)
        expect(run.returncode, 0)
        assert "watchdog: none" in run.stdout and "lease: for another" in run.stdout, run.stdout
        host.guard.kill()
        host.guard.wait()
        run = subprocess.run([*command, "--status"], capture_output=True, text=True, timeout=20)
        expect(run.returncode, 1)
        host.start()  # over what the killed one left


@check
def it_is_locked_in_memory_and_real_time_where_it_may(build):
    if os.geteuid() != 0:
        raise Skip("only root may")
    with Host(build) as host:
        status = Path(f"/proc/{host.guard.pid}/status").read_text()
        locked = int(status.split("VmLck:")[1].split()[0])
        assert locked > 0 or "memory is not locked" in host.said(), (status, host.said())
        policy = os.sched_getscheduler(host.guard.pid) & ~os.SCHED_RESET_ON_FORK
        assert policy == os.SCHED_FIFO or "no real-time priority" in host.said(), policy
        adj = Path(f"/proc/{host.guard.pid}/oom_score_adj").read_text().strip()
        assert adj == "-1000" or "when memory is short" in host.said(), adj


@check
def it_has_nothing_to_allocate_with(build):
    if not shutil.which("nm"):
        raise Skip("binutils is not installed")
    symbols = subprocess.run(["nm", "-u", Path(build) / "backend/guard/novacron-guard"],
                             capture_output=True, text=True, check=True).stdout
    found = [line for line in symbols.split() if line.split("@")[0] in
             ("malloc", "calloc", "realloc", "free", "getaddrinfo")]
    expect(found, [])


def main():
    failed = run_checks(check.functions, sys.argv[1:2])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

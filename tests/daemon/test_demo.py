#!/usr/bin/env python3
"""test_demo.py BUILD: `make demo` as a stranger meets it: two at the same time, one that is
interrupted, one whose daemons do not start, and one that is kept. Nothing of any of them stays.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, until
from local_hosts import missing

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
PATIENCE = 600
check = Checks()


class Run:
    """One demo, as a process."""

    def __init__(self, build, *args):
        self.log = tempfile.NamedTemporaryFile(prefix="novacron-test-")
        self.process = subprocess.Popen([SCRIPTS / "demo.py", "--build", build, *args],
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, start_new_session=True)

    @property
    def text(self):
        return Path(self.log.name).read_text(errors="replace")

    def says(self, words):
        until(f"it says: {words}", lambda: words in self.text or self.process.poll() is not None,
              PATIENCE)
        assert words in self.text, self.text

    def ends(self, status):
        found = self.process.wait(PATIENCE)
        assert found == status, f"status {found} after:\n{self.text}"

    @property
    def dir(self):
        return re.search(r"files +(\S+),", self.text)[1]

    def left(self):
        """The processes that work below its directory, or name it."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                at = os.readlink(f"/proc/{pid}/cwd")
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if at.startswith(self.dir) or self.dir.encode() in words:
                found.append((pid, at, words))
        return found


@check
def two_at_a_time_show_all_and_leave_nothing(build):
    runs = [Run(build), Run(build)]
    for run in runs:
        run.ends(0)
        assert re.search(r"All of \d+ checks passed", run.text), run.text
        expect(run.left(), [])
        assert not Path(run.dir).exists()


@check
def one_that_is_interrupted_leaves_nothing(build):
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        run = Run(build)
        run.says("== 3.")
        run.process.send_signal(number)
        run.ends(status)
        expect(run.left(), [])
        assert not Path(run.dir).exists()


@check
def one_that_fails_says_so_and_leaves_its_logs_alone(build):
    with tempfile.TemporaryDirectory(prefix="novacron-test-") as folder:
        for part in ("cli", "demo", "backend/guard"):
            link = Path(folder) / part
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(build / part)
        daemon = Path(folder) / "backend/novacrond/novacrond"
        daemon.parent.mkdir()
        daemon.symlink_to("/bin/false")
        run = Run(folder)
        run.ends(1)
    assert "FAIL no leader" in run.text, run.text
    expect(run.left(), [])
    assert (Path(run.dir) / "node-1/log").exists()
    shutil.rmtree(run.dir)


@check
def one_that_is_kept_does_what_it_says_until_it_is_ended(build):
    run = Run(build, "--keep")
    run.ends(0)
    commands = re.findall(r"^    (\./.*?) +#", run.text, re.MULTILINE)
    assert len(commands) > 5, run.text
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=run.dir, capture_output=True, text=True,
                              timeout=PATIENCE)
        # `status` and the lists end with 1 where something is not as it is wanted.
        assert done.returncode in (0, 1), f"{command}: {done.stdout}{done.stderr}"
        assert done.stdout or "power" in command or "cable" in command or "stop" in command, command
    assert run.left()
    subprocess.run(re.search(r"^    (/.*/end)$", run.text, re.MULTILINE)[1], check=True)
    expect(run.left(), [])
    assert not Path(run.dir).exists()


def main():
    build = Path(sys.argv[1]).resolve()
    why_not = missing(build)
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return 77
    return 1 if run_checks(check.functions, (build,)) else 0


if __name__ == "__main__":
    sys.exit(main())

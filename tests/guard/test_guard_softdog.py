#!/usr/bin/env python3
"""test_guard_softdog.py BUILD: the proof by lease and watchdog, on a real watchdog of a real kernel:
novacron-guard and softdog in a guest of QEMU's (software emulation, Debian's cloud kernel), which is
reset, or is not. softdog_guest.c is what runs in it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/daemon")]

import guest_kernel  # noqa: E402
from checks import Checks, Skip, expect, run_checks  # noqa: E402

check = Checks()

# Of the wall clock, for a boot under emulation on a machine that has much else to do.
PATIENCE = 600

QEMU = ["qemu-system-x86_64", "-accel", "tcg,tb-size=32", "-M", "pc", "-m", "160", "-nodefaults",
        "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]


class Run:
    """One life of the guest, and what was said in it."""

    def __init__(self, build, scenario, watchdog=3):
        """`watchdog` is its state: 3, armed, and hardware by declaration."""
        if not shutil.which(QEMU[0]):
            raise Skip("qemu-system-x86 is not installed")
        try:
            kernel = guest_kernel.GuestKernel(Path(build) / "guest-kernel")
        except guest_kernel.NoKernel as e:
            raise Skip(str(e)) from e
        with tempfile.TemporaryDirectory(prefix="novacron-softdog-") as folder:
            archive = Path(folder) / "initramfs"
            guest_kernel.initramfs(archive, {
                "/init": Path(build) / "tests/guard/softdog-guest",
                "/novacron-guard": Path(build) / "backend/guard/novacron-guard",
                "/watchdog.ko": kernel.module("drivers/watchdog/watchdog.ko"),
                "/softdog.ko": kernel.module("drivers/watchdog/softdog.ko"),
            })
            words = ("console=ttyS0 quiet mitigations=off nokaslr panic=-1 tsc=reliable "
                     f"scenario={scenario}")
            run = subprocess.run([*QEMU, "-kernel", kernel.image, "-initrd", archive, "-append",
                                  words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 timeout=PATIENCE)
        self.text = run.stdout.decode(errors="replace")
        assert "failed:" not in self.text, self.text
        self.ticks = [int(ms) for ms in re.findall(r"tick (\d+)", self.text)]
        assert len(self.ticks) > 3, self.text
        self.lease = self.number("lease")
        self.bound = self.number("bound")
        self.begin = self.number("begin")
        self.is_here_still = "still here" in self.text
        expect(self.number("watchdog"), watchdog)

    def number(self, word):
        found = re.search(rf"^{word} (\d+)", self.text, re.MULTILINE)
        assert found, (word, self.text)
        return int(found[1])


@check
def the_end_of_the_lease_kills_the_machine_and_spares_the_host(build):
    run = Run(build, "lease")
    assert run.is_here_still, run.text
    assert run.lease - 1000 < run.ticks[-1] < run.lease + 1000, (run.ticks[-1], run.lease)


@check
def fencing_11_guard_that_stands_still_is_reset_within_the_bound(build):
    run = Run(build, "stop")
    assert not run.is_here_still, run.text
    assert run.ticks[-1] < run.lease + run.bound, (run.ticks[-1], run.lease, run.bound)
    assert run.ticks[-1] >= run.begin, run.text  # it ran on until the reset


@check
def guard_that_was_killed_is_reset_within_the_bound(build):
    run = Run(build, "kill")
    assert not run.is_here_still, run.text
    assert run.ticks[-1] < run.lease + run.bound, (run.ticks[-1], run.lease, run.bound)


@check
def guard_and_daemon_that_stand_still_are_reset_within_the_bound(build):
    run = Run(build, "both")
    assert not run.is_here_still, run.text
    assert run.ticks[-1] < run.lease + run.bound, (run.ticks[-1], run.lease, run.bound)


@check
def an_empty_host_is_not_reset_when_its_guard_dies(build):
    run = Run(build, "empty")
    assert run.is_here_still, run.text


@check
def softdog_proves_nothing_unless_it_was_declared_to_and_resets_all_the_same(build):
    run = Run(build, "distrust", watchdog=1)
    assert not run.is_here_still, run.text


@check
def what_cannot_be_disarmed_is_never_armed(build):
    run = Run(build, "nowayout", watchdog=0)
    assert run.is_here_still, run.text
    assert "nowayout is set" in run.text, run.text
    assert run.ticks[-1] > run.lease, run.text  # nobody was left who could end it


def main():
    failed = run_checks(check.functions, sys.argv[1:2])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

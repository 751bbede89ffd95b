"""Small file systems of their own for members: they can be filled, emptied, and cut from under a
process. ext4 on a loop device; for root alone.
"""

import fcntl
import os
import struct
import subprocess
from pathlib import Path

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): ext4, xfs, btrfs
SHUTDOWN_NO_FLUSH = 2


def missing():
    """Why there can be no small disks here; None: there can."""
    if os.geteuid() != 0:
        return "only root mounts"
    for program in ("/sbin/mkfs.ext4", "/sbin/losetup"):
        if not Path(program).exists():
            return f"{program} is not installed"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return None


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


class SmallDisk:
    """Mounted as the data directory of a member, before it starts."""

    def __init__(self, member, mib):
        self.image = member.dir / "image"
        self.dir = member.dir / "data"
        self.ballast = self.dir / "ballast"
        self.dir.mkdir(exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(mib << 20)
        made = run("/sbin/mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        assert made.returncode == 0, made.stderr
        self.mount()

    def mount(self):
        done = run("mount", "-o", "loop", self.image, self.dir)
        if done.returncode != 0:
            raise OSError(done.stderr)

    def close(self):
        run("umount", "-l", self.dir)

    def fill(self):
        """All but what is there already."""
        with open(self.ballast, "wb") as file:
            space = os.statvfs(self.dir)
            size = space.f_bavail * space.f_frsize
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    size += 1 << 20
                except OSError:
                    size -= 1 << 20
                    if size <= os.fstat(file.fileno()).st_size:
                        break

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def cut(self):
        """As if the device had gone: every call fails from here on."""
        fd = os.open(self.dir, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("=I", SHUTDOWN_NO_FLUSH))
        finally:
            os.close(fd)

    def mend(self):
        """It is back, with what it held; nobody may have a file of it open."""
        done = run("umount", self.dir)
        if done.returncode != 0:
            raise OSError(done.stderr)
        self.mount()

"""A real Linux for guests: Debian's cloud kernel, unpacked from its package and never installed, and
initramfs files that are made here. For tests that need what the host's kernel lacks (softdog).
"""

import gzip
import os
import re
import stat
import subprocess
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"


class NoKernel(Exception):
    """Says why there is none."""


class GuestKernel:
    """Kept in `directory` once it is there; NOVACRON_GUEST_KERNEL names a folder that has one."""

    def __init__(self, directory):
        self.dir = Path(os.environ.get("NOVACRON_GUEST_KERNEL", directory))
        if not self.find():
            self.fetch()
        if not self.find():
            raise NoKernel(f"there is no kernel in {self.dir}")

    def find(self):
        images = sorted(self.dir.glob("boot/vmlinuz-*"))
        if not images:
            return False
        self.image = images[-1]
        version = self.image.name.removeprefix("vmlinuz-")
        self.modules = self.dir / "lib/modules" / version / "kernel"
        return self.modules.is_dir()

    def fetch(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        try:
            said = self.run("apt-cache", "depends", PACKAGE)
            package = re.search(r"Depends: (linux-image-\S+)", said)
            if not package:
                raise NoKernel(f"{PACKAGE} is not known here: apt-get update")
            self.run("apt-get", "-q", "download", package[1])
            for file in self.dir.glob("linux-image-*.deb"):
                self.run("dpkg-deb", "-x", file.name, ".")
                file.unlink()
        except (OSError, subprocess.SubprocessError) as e:
            raise NoKernel(f"{PACKAGE} cannot be had: {e}") from e

    def run(self, *command):
        return subprocess.run(command, cwd=self.dir, check=True, timeout=600, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def module(self, path):
        """The file of a module: kernel/ is understood."""
        return self.modules / path


def libraries_of(program):
    """What a program is linked with, its loader among it."""
    said = subprocess.run(["ldd", program], check=True, text=True, capture_output=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def initramfs(path, files):
    """Writes one of `files`: {path in the guest: file here}, with the libraries of programs, and
    folders as they are needed."""
    content = {name: Path(file).read_bytes() for name, file in files.items()}
    for file in files.values():
        if os.access(file, os.X_OK):
            content.update({library: Path(library).read_bytes() for library in libraries_of(file)})
    folders = {"/dev", "/proc", "/sys"}
    for name in content:
        folders.update(str(parent) for parent in Path(name).parents)
    folders.discard("/")
    with gzip.open(path, "wb", compresslevel=1) as out:
        for number, name in enumerate(sorted(folders), 1):
            out.write(entry(name, stat.S_IFDIR | 0o755, b"", number))
        for number, (name, data) in enumerate(sorted(content.items()), len(folders) + 1):
            out.write(entry(name, stat.S_IFREG | 0o755, data, number))
        out.write(entry("TRAILER!!!", 0, b"", 0))


def entry(name, mode, data, number):
    """One of the archive: cpio's format "newc"."""
    words = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name.lstrip("/")) + 1, 0]
    head = b"070701" + "".join(f"{word:08x}" for word in words).encode()
    head += name.lstrip("/").encode() + b"\0"
    return pad(head) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % 4)

"""A real Linux for guests: Debian's cloud kernel, unpacked from its package and never installed, and
initramfs files that are made here. For tests that need what the host's kernel lacks (softdog).
"""

import gzip
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"


class NoKernel(Exception):
    """Says why there is none."""


class GuestKernel:
    """Kept in `directory` once it is there; NOVACRON_GUEST_KERNEL names a folder that has one."""

    def __init__(self, directory, may_update=False):
        """`may_update`: apt's lists are fetched if they do not know it, which takes root."""
        self.dir = Path(os.environ.get("NOVACRON_GUEST_KERNEL", directory))
        if not self.find():
            self.fetch(may_update)
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

    def fetch(self, may_update):
        """Beside its place at first: whoever fetches at the same time does no harm."""
        self.dir.mkdir(parents=True, exist_ok=True)
        try:
            package = self.package() or (may_update and self.update() and self.package())
            if not package:
                raise NoKernel(f"{PACKAGE} is not known here: apt-get update")
            with tempfile.TemporaryDirectory(dir=self.dir) as folder:
                self.run("apt-get", "-q", "download", package, at=folder)
                for file in Path(folder).glob("linux-image-*.deb"):
                    self.run("dpkg-deb", "-x", file.name, "root", at=folder)
                for part in ("boot", "lib"):
                    if not (self.dir / part).exists():
                        shutil.move(Path(folder) / "root" / part, self.dir / part)
        except subprocess.CalledProcessError as e:
            raise NoKernel(f"{PACKAGE} cannot be had: {' '.join(map(str, e.cmd))}: "
                           f"{e.stderr.strip()}") from e
        except (OSError, subprocess.SubprocessError) as e:
            raise NoKernel(f"{PACKAGE} cannot be had: {e}") from e

    def package(self):
        """The newest one's name; None: apt does not know."""
        said = self.run("apt-cache", "depends", PACKAGE, check=False)
        found = re.search(r"Depends: (linux-image-\S+)", said)
        return found[1] if found else None

    def update(self):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        self.run(*as_root, "apt-get", "-q", "update")
        return True

    def run(self, *command, at=None, check=True):
        return subprocess.run(command, cwd=at or self.dir, check=check, timeout=600, text=True,
                              capture_output=True).stdout

    def module(self, path):
        """The file of a module: kernel/ is understood."""
        return self.modules / path


def libraries_of(program):
    """What a program is linked with, its loader among it: nothing, where it is static, which ldd
    calls an error."""
    said = subprocess.run(["ldd", program], check=False, text=True, capture_output=True).stdout
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

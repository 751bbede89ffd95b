"""Slow and failing disks below single processes: what disk_shim.c does, said from a test."""

import errno
import mmap
import struct
from pathlib import Path

WRITE, SYNC, ALLOCATE, CREATE, LINK = 1, 2, 4, 8, 16
FOREVER = (1 << 64) - 1
FIELDS = struct.Struct("=7Q64s")


class DiskShim:
    """Of one member; before it starts."""

    def __init__(self, build, member):
        library = Path(build) / "tests/daemon/libdisk_shim.so"
        assert library.exists(), f"{library} is not built"
        path = member.dir / "shim"
        path.write_bytes(bytes(FIELDS.size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), FIELDS.size)
        member.env = {"LD_PRELOAD": str(library),
                      "DISK_SHIM": str(path)}

    def put(self, offset, value):
        self.memory[offset:offset + 8] = struct.pack("=Q", value)

    def slow(self, sync_us=0, bytes_per_s=0):
        self.put(0, sync_us)
        self.put(8, bytes_per_s)

    def fail(self, kinds, error=errno.EIO, skip=0, count=FOREVER, match=""):
        """From the `skip`th on of the calls that are meant, `count` of them fail."""
        self.put(40, 0)
        self.memory[56:120] = match.encode().ljust(64, b"\0")
        self.put(16, kinds)
        self.put(24, error)
        self.put(32, skip)
        self.put(40, count)

    def heal(self):
        self.put(40, 0)

    @property
    def failed(self):
        return struct.unpack_from("=Q", self.memory, 48)[0]

"""What the machines of local_hosts run: the tiny guest, or Debian's kernel with one program of ours.
Both write a counter to sector 0 of their disk, ten times a second, and say it on their console.
"""

from guest_kernel import GuestKernel, initramfs

# Debian's kernel has them as modules; each needs those before it.
MODULES = ["acpi/button", "input/evdev", "virtio/virtio_ring", "virtio/virtio",
           "virtio/virtio_pci_legacy_dev", "virtio/virtio_pci_modern_dev", "virtio/virtio_pci",
           "block/virtio_blk"]


class TinyGuest:
    what = "our own guest of 8 KB, which boots in a tenth of a second"
    memory_mib = 16

    def __init__(self, build):
        self.kernel = build / "demo/guest/tiny-guest.elf"
        self.folders = [self.kernel.parent]

    @property
    def definition(self):
        return f"  machine: pc\n  boot: {{kernel: {self.kernel}}}\n  disk: {{bus: ide}}\n"


class LinuxGuest:
    memory_mib = 96  # with 64 the kernel finds no room

    def __init__(self, build, directory):
        """`directory`: for its initramfs. The kernel stays in the build folder. NoKernel: why."""
        kernel = GuestKernel(build / "guest-kernel", may_update=True)
        self.kernel = kernel.image.resolve()
        self.initrd = directory / "initramfs"
        modules = {f"/modules/{i:02}-{name.split('/')[1]}.ko": kernel.module(f"drivers/{name}.ko")
                   for i, name in enumerate(MODULES)}
        initramfs(self.initrd, {"/init": build / "demo/guest/linux-init", **modules})
        self.folders = [self.kernel.parent, directory]

    @property
    def what(self):
        version = self.kernel.name.removeprefix("vmlinuz-")
        return f"Debian's Linux {version} and one program of ours; a boot takes 2 s and more"

    @property
    def definition(self):
        return (f"  machine: pc\n  boot:\n    kernel: {self.kernel}\n    initrd: {self.initrd}\n"
                "    append: console=ttyS0 quiet mitigations=off nokaslr panic=-1 tsc=reliable\n"
                "  disk: {bus: virtio}\n")

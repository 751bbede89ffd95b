/*
 * The tiny guest: a whole operating system for one purpose, to show that a virtual machine lives,
 * and where it was when it died. It boots in a tenth of a second under software emulation.
 *
 * It counts. Each 100 ms it writes the counter to its disk, waits until the disk says that it is
 * durable, and only then prints "tick N" on its serial line; "EIO" where the disk failed. When it
 * starts it goes on where the disk says it was: "READY start=N disk", or "READY start=0 empty" on
 * a disk that was never written, "READY start=0 none" without one.
 *
 * THE DISK: sector 0 holds "NOVACTR1", then the counter, as 64 bits, low byte first. The rest is
 * zero. One sector is never torn.
 *
 * THE COMMAND LINE (QEMU's -append), words:
 *   watchdog  feeds the ib700 (-device ib700) with each tick, for two seconds
 *   deaf      ignores the power button
 *   hang=N    stands still for ever after N ticks, with interrupts off
 *
 * On the second serial line it has an agent, of which guest_agent.c tells.
 *
 * The power button (ACPI, of -M pc) ends it in an orderly way: it prints "BYE N" and switches off.
 */
#include "demo/guest/guest.h"

#define DISK_TRIES     10000000U
#define TICKS_A_SECOND 100U
#define TICKS_A_WRITE  10U

/* Ports: serial line, interrupt controllers, timer, disk, PCI, watchdog. */
#define COM1      0x3f8
#define PIC1      0x20
#define PIC2      0xa0
#define PIT       0x40
#define ATA       0x1f0
#define PCI_AT    0xcf8
#define PCI_DATA  0xcfc
#define IB700_SET 0x443

#define PCI_DEVICE(device, function) (0x80000000U | (device) << 11 | (function) << 8)
#define PIIX3_IDE                    PCI_DEVICE(1U, 1U)
#define PIIX4_POWER                  PCI_DEVICE(1U, 3U)

/* Where we put the registers of power management if the firmware did not. */
#define POWER_PORTS       0x600U
#define POWER_BUTTON      0x100U
#define POWER_SOFT_OFF    0x2000U /* sleep type 0 with the bit that makes it so */
#define POWER_STATUS      0
#define POWER_ENABLE      2
#define POWER_CONTROL     4
#define MULTIBOOT_CMDLINE 4U

struct multiboot_info {
    uint32_t flags;
    uint32_t memory[2];
    uint32_t device;
    uint32_t cmdline;
};

struct gate {
    uint16_t low;
    uint16_t selector;
    uint16_t type;
    uint16_t high;
};

void guest_timer_entry(void);
void guest_trap_entry(void);
void guest_main(const struct multiboot_info *info);

volatile uint32_t guest_ticks;

static struct gate gates[48];

/* --- the serial line -------------------------------------------------------------------------- */

static void serial_say(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((port_get8(COM1 + 5) & 0x20) == 0) {
        }
        port_put8(COM1, (uint8_t)*text);
    }
}

/* Division by ten of 64 bits by hand: there is no runtime library to do it. */
char *guest_number(uint64_t n, char digits[21])
{
    unsigned at = 20;

    digits[at] = '\0';
    do {
        uint32_t high = (uint32_t)(n >> 32);
        uint32_t low = (uint32_t)n;
        uint32_t rest = high % 10;
        uint32_t quotient;
        high /= 10;
        __asm__("divl %4" : "=a"(quotient), "=d"(rest) : "0"(low), "1"(rest), "r"(10U));
        digits[--at] = (char)('0' + rest);
        n = (uint64_t)high << 32 | quotient;
    } while (n != 0);
    return &digits[at];
}

static void serial_say_number(uint64_t n)
{
    char digits[21];
    serial_say(guest_number(n, digits));
}

/* --- the disk: the first ATA disk, by programmed I/O -------------------------------------------
 */

/* The status when the disk is not busy and has data or an error; 0: there is none. */
static uint8_t disk_await(void)
{
    for (uint32_t i = 0; i < DISK_TRIES; i++) {
        uint8_t status = port_get8(ATA + 7);
        if (status == 0xff || status == 0) {
            return 0;
        }
        if ((status & 0x80) == 0 && (status & 9) != 0) {
            return status;
        }
    }
    return 0;
}

/* Sector 0 comes in, or goes out and becomes durable. */
static bool disk_transfer(uint16_t *sector, bool is_write)
{
    port_put8(ATA + 6, 0xe0);
    port_put8(ATA + 2, 1);
    port_put8(ATA + 3, 0);
    port_put8(ATA + 4, 0);
    port_put8(ATA + 5, 0);
    port_put8(ATA + 7, is_write ? 0x30 : 0x20);
    uint8_t status = disk_await();
    if (status == 0 || (status & 1) != 0) {
        return false;
    }
    for (unsigned i = 0; i < 256; i++) {
        if (is_write) {
            port_put16(ATA, sector[i]);
        } else {
            sector[i] = port_get16(ATA);
        }
    }
    if (!is_write) {
        return true;
    }
    while (((status = port_get8(ATA + 7)) & 0x80) != 0) {
    }
    if ((status & 1) != 0) {
        return false;
    }
    port_put8(ATA + 7, 0xe7);
    while (((status = port_get8(ATA + 7)) & 0x80) != 0) {
    }
    return (status & 1) == 0;
}

/* --- PCI, power --------------------------------------------------------------------------------
 */

static uint32_t pci_get32(uint32_t device, uint32_t offset)
{
    port_put32(PCI_AT, device | offset);
    return port_get32(PCI_DATA);
}

static void pci_put16(uint32_t device, uint32_t offset, uint16_t value)
{
    port_put32(PCI_AT, device | offset);
    port_put16(PCI_DATA, value);
}

static void pci_put32(uint32_t device, uint32_t offset, uint32_t value)
{
    port_put32(PCI_AT, device | offset);
    port_put32(PCI_DATA, value);
}

/* The ports of power management, with the button enabled; 0: this machine has none. */
static uint16_t power_open(void)
{
    if (pci_get32(PIIX4_POWER, 0) != 0x71138086U) {
        return 0;
    }
    uint16_t ports = (uint16_t)(pci_get32(PIIX4_POWER, 0x40) & 0xffc0U);
    if (ports == 0) {
        ports = POWER_PORTS;
        pci_put32(PIIX4_POWER, 0x40, POWER_PORTS | 1U);
        pci_put32(PIIX4_POWER, 0x80, pci_get32(PIIX4_POWER, 0x80) | 1U);
    }
    port_put16((uint16_t)(ports + POWER_STATUS), POWER_BUTTON);
    port_put16((uint16_t)(ports + POWER_ENABLE), POWER_BUTTON);
    return ports;
}

static bool power_button_pressed(uint16_t ports)
{
    return ports != 0 && (port_get16((uint16_t)(ports + POWER_STATUS)) & POWER_BUTTON) != 0;
}

/* --- interrupts --------------------------------------------------------------------------------
 */

static void gate_set(struct gate *gate, void (*entry)(void))
{
    uint32_t at = (uint32_t)entry;
    *gate = (struct gate){(uint16_t)at, 8, 0x8e00, (uint16_t)(at >> 16)};
}

/* One interrupt: the timer's, a hundred times a second. */
static void interrupts_open(void)
{
    const struct {
        uint16_t limit;
        const struct gate *at;
    } __attribute__((packed)) table = {sizeof gates - 1, gates};

    for (unsigned i = 0; i < 48; i++) {
        gate_set(&gates[i], i == 32 ? guest_timer_entry : guest_trap_entry);
    }
    /* qboot leaves the local interrupt controller off: its input 0 is that of the old one. */
    *(volatile uint32_t *)0xfee000f0 = 0x1ff;
    *(volatile uint32_t *)0xfee00350 = 0x700;
    port_put8(PIC1, 0x11);
    port_put8(PIC2, 0x11);
    port_put8(PIC1 + 1, 32);
    port_put8(PIC2 + 1, 40);
    port_put8(PIC1 + 1, 4);
    port_put8(PIC2 + 1, 2);
    port_put8(PIC1 + 1, 1);
    port_put8(PIC2 + 1, 1);
    port_put8(PIC1 + 1, 0xfe);
    port_put8(PIC2 + 1, 0xff);
    const uint16_t divisor = 1193182 / TICKS_A_SECOND;
    port_put8(PIT + 3, 0x34);
    port_put8(PIT, (uint8_t)divisor);
    port_put8(PIT, (uint8_t)(divisor >> 8));
    __asm__ volatile("lidt %0\n\tsti" : : "m"(table));
}

/* --- the command line --------------------------------------------------------------------------
 */

/* What follows `word` in the line, where it stands as a word or begins one; NULL: it is not there.
 */
static const char *word_find(const char *line, const char *word)
{
    for (const char *at = line; *at != '\0'; at++) {
        unsigned n = 0;
        while (word[n] != '\0' && at[n] == word[n]) {
            n++;
        }
        if (word[n] == '\0' && (at == line || at[-1] == ' ')) {
            return at + n;
        }
    }
    return (const char *)0;
}

static uint32_t number_after(const char *at)
{
    uint32_t n = 0;
    for (; at != (const char *)0 && *at >= '0' && *at <= '9'; at++) {
        n = n * 10 + (uint32_t)(*at - '0');
    }
    return n;
}

/* --- the counter -------------------------------------------------------------------------------
 */

union sector {
    uint16_t words[256];
    struct {
        char magic[8];
        uint64_t counter;
    } count;
};

static const char magic[8] = {'N', 'O', 'V', 'A', 'C', 'T', 'R', '1'};

static bool sector_is_ours(const union sector *sector)
{
    for (unsigned i = 0; i < sizeof magic; i++) {
        if (sector->count.magic[i] != magic[i]) {
            return false;
        }
    }
    return true;
}

static void stand_still(void)
{
    for (;;) {
        __asm__ volatile("cli\n\thlt");
    }
}

static void shut_down(uint16_t power, uint64_t n)
{
    serial_say("BYE ");
    serial_say_number(n);
    serial_say("\n");
    port_put16((uint16_t)(power + POWER_CONTROL), POWER_SOFT_OFF);
    stand_still();
}

void guest_main(const struct multiboot_info *info)
{
    static union sector sector;
    const char *line = (info->flags & MULTIBOOT_CMDLINE) != 0 ? (const char *)info->cmdline : "";
    const bool feeds = word_find(line, "watchdog") != (const char *)0;
    const bool is_deaf = word_find(line, "deaf") != (const char *)0;
    const uint32_t hangs_after = number_after(word_find(line, "hang="));
    uint64_t n = 0;

    /* qboot leaves the disk's controller off: ports and bus mastering, and its timing. */
    pci_put16(PIIX3_IDE, 4, 5);
    pci_put32(PIIX3_IDE, 0x40, 0x80008000U);
    const uint16_t power = power_open();
    interrupts_open();
    guest_agent_open();
    const bool has_disk = disk_transfer(sector.words, false);
    const bool is_known = has_disk && sector_is_ours(&sector);
    if (is_known) {
        n = sector.count.counter + 1;
    }
    serial_say("READY start=");
    serial_say_number(n);
    serial_say(is_known ? " disk\n" : has_disk ? " empty\n" : " none\n");
    for (uint32_t done = 1;; done++, n++) {
        const uint32_t since = guest_ticks;
        for (unsigned i = 0; i < sizeof magic; i++) {
            sector.count.magic[i] = magic[i];
        }
        sector.count.counter = n;
        if (!has_disk || disk_transfer(sector.words, true)) {
            serial_say("tick ");
            serial_say_number(n);
            serial_say("\n");
        } else {
            serial_say("EIO\n");
        }
        if (feeds) {
            port_put8(IB700_SET, 0x0e);
        }
        if (hangs_after != 0 && done >= hangs_after) {
            stand_still();
        }
        while (guest_ticks - since < TICKS_A_WRITE) {
            if (!is_deaf && power_button_pressed(power)) {
                shut_down(power, n);
            }
            guest_agent_hear(n);
            __asm__ volatile("hlt");
        }
    }
}

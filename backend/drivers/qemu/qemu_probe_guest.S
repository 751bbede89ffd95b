/*
 * The guest by which the accelerator is tried (qemu_probe.c): a kernel for QEMU's multiboot loader,
 * as a blob. It does what every operating system does, and what an accelerator that only half works
 * fails at: it takes interrupts from the timer in 32-bit protected mode and returns from them, then
 * the same in 64-bit mode with paging on. At the end it writes SUCCESS to the port of
 * isa-debug-exit, by which QEMU exits.
 *
 * The code is assembled here as a part of a 64-bit program, but runs at LOAD: each address of its
 * own is AT(label).
 */
#define LOAD         0x100000
#define AT(label)    (LOAD + (label) - qemu_probe_guest)
#define EXIT_PORT    0xf4
#define SUCCESS      0x10
#define TICKS        5
#define TABLES       0x200000 /* page tables, 3 pages */
#define IDT32        0x204000
#define IDT64        0x205000
#define STACK        0x210000

        .section .rodata
        .balign 16
        .globl qemu_probe_guest
        .globl qemu_probe_guest_end
qemu_probe_guest:
        /* Multiboot, with the addresses in the header: this is no ELF. */
        .long 0x1badb002
        .long 0x00010000
        .long -(0x1badb002 + 0x00010000)
        .long LOAD
        .long LOAD
        .long AT(qemu_probe_guest_end)
        .long AT(qemu_probe_guest_end)
        .long AT(begin)

        .code32
begin:  cli
        cld
        lgdt AT(gdt_at)
        ljmp $8, $AT(flat)
flat:   mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $STACK, %esp

        /* 33 gates of 8 bytes, all to `tick`. */
        mov $IDT32, %edi
        mov $33, %ecx
1:      movl $(AT(tick32) & 0xffff) + 0x80000, (%edi)
        movl $((AT(tick32)) & 0xffff0000) + 0x8e00, 4(%edi)
        add $8, %edi
        loop 1b
        lidt AT(idt32_at)

        /* The interrupt controllers, of which only the timer gets through; the timer at 1 kHz. */
        mov $AT(ports), %esi
1:      movzbl (%esi), %edx
        mov 1(%esi), %al
        outb %al, %dx
        add $2, %esi
        cmp $AT(ports_end), %esi
        jb 1b

        xor %ebp, %ebp
        sti
1:      hlt
        cmp $TICKS, %ebp
        jb 1b
        cli

        /* 64-bit mode: the first GiB one to one, in pages of 2 MiB. */
        mov $TABLES, %edi
        xor %eax, %eax
        mov $3072, %ecx
        rep stosl
        movl $TABLES + 0x1003, TABLES
        movl $TABLES + 0x2003, TABLES + 0x1000
        mov $TABLES + 0x2000, %edi
        mov $0x83, %eax
        mov $512, %ecx
1:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        loop 1b
        mov %cr4, %eax
        or $0x20, %eax
        mov %eax, %cr4
        mov $TABLES, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x100, %eax
        wrmsr
        mov %cr0, %eax
        or $0x80000001, %eax
        mov %eax, %cr0
        ljmp $24, $AT(long_mode)

tick32: push %eax
        inc %ebp
        mov $0x20, %al
        outb %al, $0x20
        pop %eax
        iret

        .code64
long_mode:
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $STACK, %esp
        mov $IDT64, %edi
        mov $33, %ecx
1:      movl $(AT(tick64) & 0xffff) + 0x180000, (%rdi)
        movl $((AT(tick64)) & 0xffff0000) + 0x8e00, 4(%rdi)
        movq $0, 8(%rdi)
        add $16, %edi
        loop 1b
        lidt AT(idt64_at)
        xor %ebp, %ebp
        sti
1:      hlt
        cmp $TICKS, %ebp
        jb 1b
        cli
        mov $SUCCESS, %al
        outb %al, $EXIT_PORT
1:      hlt
        jmp 1b

tick64: push %rax
        inc %ebp
        mov $0x20, %al
        outb %al, $0x20
        pop %rax
        iretq

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff        /*  8: code of 32 bits */
        .quad 0x00cf92000000ffff        /* 16: data */
        .quad 0x00af9a000000ffff        /* 24: code of 64 bits */
gdt_at: .word . - gdt - 1
        .long AT(gdt)
        .long 0
idt32_at:
        .word 33 * 8 - 1
        .long IDT32
        .long 0
idt64_at:
        .word 33 * 16 - 1
        .quad IDT64

ports:  .byte 0x20, 0x11, 0xa0, 0x11, 0x21, 32, 0xa1, 40, 0x21, 4, 0xa1, 2, 0x21, 1, 0xa1, 1
        .byte 0x21, 0xfe, 0xa1, 0xff
        .byte 0x43, 0x34, 0x40, 0xa9, 0x40, 0x04
ports_end:
qemu_probe_guest_end:
        .section .note.GNU-stack, "", @progbits

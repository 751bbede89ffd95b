/*
 * How the tiny guest comes to life: entered by multiboot (-M pc, with -kernel) in 32-bit protected
 * mode with interrupts off, it takes segments and a stack of its own and calls guest_main.
 */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002                /* magic, flags: none, checksum */
        .long 0
        .long -0x1badb002

        .text
        .globl _start
_start:
        cli
        cld
        lgdt guest_gdt_at
        ljmp $8, $1f
1:      mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %eax, %fs
        mov %eax, %gs
        mov $guest_stack_top, %esp
        push %ebx                       /* what the loader tells: its flags, our command line */
        call guest_main
1:      cli
        hlt
        jmp 1b

        /* The timer: one more tick of guest_ticks, and the interrupt is acknowledged. */
        .globl guest_timer_entry
guest_timer_entry:
        push %eax
        incl guest_ticks
        mov $0x20, %al
        outb %al, $0x20
        pop %eax
        iret

        /* Anything else: there is nothing to do about it. */
        .globl guest_trap_entry
guest_trap_entry:
        iret

        .section .rodata
        .align 8
guest_gdt:
        .quad 0
        .quad 0x00cf9a000000ffff        /* code, flat */
        .quad 0x00cf92000000ffff        /* data, flat */
guest_gdt_at:
        .word . - guest_gdt - 1
        .long guest_gdt

        .bss
        .align 16
        .skip 8192
guest_stack_top:

        .section .note.GNU-stack, "", @progbits

/*
 * The tiny guest's parts: what it is, is said in guest_main.c. guest_boot.S enters it,
 * guest_agent.c is its agent.
 */
#ifndef NOVACRON_DEMO_GUEST_GUEST_H
#define NOVACRON_DEMO_GUEST_GUEST_H

#include <stdbool.h>
#include <stdint.h>

static inline void port_put8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_put16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_put32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_get8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t port_get16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t port_get32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* The agent hears what has come on the second serial line, and answers. `counter` is what its
 * program /counter says. */
void guest_agent_open(void);
void guest_agent_hear(uint64_t counter);

/* The number in decimal, closed by a zero, in the buffer of 21 bytes; where it begins. */
char *guest_number(uint64_t n, char digits[21]);

#endif

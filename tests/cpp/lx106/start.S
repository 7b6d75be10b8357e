/* Reset, exceptions and the simulator's system calls: a2 is the call, a3.. are its arguments. */
#define SYS_EXIT 1
#define SYS_WRITE 4

    .section .reset, "ax"
    .begin no-transform
    .global Reset
Reset:
    j over_the_address
    .align 4
start_address:
    .word Start
over_the_address:
    l32r a0, start_address
    jx a0
    .end no-transform

/* VECBASE: kernel, user and double exceptions. The program ends with 128 + the cause, 9 of which is
   an unaligned access. */
    .section .vectors, "ax"
    .org 0x30
    j Fault
    .org 0x50
    j Fault
    .org 0x70
Fault:
    rsr a3, exccause
    addi a3, a3, 64
    addi a3, a3, 64
    movi a2, SYS_EXIT
    simcall

    .section .text.start, "ax"
    .literal_position
    .align 4
Start:
    movi a2, 0x0f       /* interrupts off, exceptions on */
    wsr a2, ps
    rsync
    movi a1, stack_top
    call0 Run
    mov a3, a2
    movi a2, SYS_EXIT
    simcall

    .section .text.write, "ax"
    .align 4
    .global WriteTo     /* int WriteTo(int file, const void* bytes, int size) */
WriteTo:
    mov a5, a4
    mov a4, a3
    mov a3, a2
    movi a2, SYS_WRITE
    simcall
    ret

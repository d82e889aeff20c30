/* What the bare-metal tests of the privileged architecture share: output, CSR access, code made at run time and run in any
   mode. */
#pragma once
#include <stdint.h>
typedef uintptr_t word;
#define XLEN __riscv_xlen
#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))

/* a0…a7, the address to start at; after the trap mcause, mtval, mepc, mstatus, mtval2, mtinst. */
struct frame { word a[8]; word cause, tval, epc, status, tval2, tinst, by_sret, unused; word pc; };
void run(struct frame *);
extern int has_hypervisor;

/* Modes; 4 is added under virtualisation. */
enum { U = 0, S = 1, M = 3, VU = 4, VS = 5 };
const char *mode_name(int mode);

#define read_csr(number) ({ word v_; asm volatile("csrr %0, " #number : "=r"(v_)); v_; })
#define write_csr(number, value) asm volatile("csrw " #number ", %0" :: "rK"((word)(value)) : "memory")
#define set_csr(number, value) asm volatile("csrs " #number ", %0" :: "rK"((word)(value)) : "memory")
#define clear_csr(number, value) asm volatile("csrc " #number ", %0" :: "rK"((word)(value)) : "memory")

void *memset(void *, int, unsigned long);
void *memcpy(void *, const void *, unsigned long);
void put(char c);
void text(const char *);
void hex(word);
void digits(word, int count);
/* say("…") with %s string, %x hexadecimal word, %d small decimal, %c */
void say(const char *format, ...);

/* Encodings. */
enum { zero, ra, sp, gp, tp, t0, t1, t2, s0, s1, a0, a1, a2, a3, a4, a5, a6, a7 };
#define CSRRW(rd, csr, rs) ((uint32_t)(csr) << 20 | (rs) << 15 | 1 << 12 | (rd) << 7 | 0x73)
#define CSRRS(rd, csr, rs) ((uint32_t)(csr) << 20 | (rs) << 15 | 2 << 12 | (rd) << 7 | 0x73)
#define CSRRC(rd, csr, rs) ((uint32_t)(csr) << 20 | (rs) << 15 | 3 << 12 | (rd) << 7 | 0x73)
#define CSRR(rd, csr) CSRRS(rd, csr, zero)
#define CSRW(csr, rs) CSRRW(zero, csr, rs)
#define LOAD(width, rd, rs, offset) ((uint32_t)(offset) << 20 | (rs) << 15 | (width) << 12 | (rd) << 7 | 0x03)
#define STORE(width, rs2, rs1, offset) (((uint32_t)(offset) >> 5 & 127) << 25 | (rs2) << 20 | (rs1) << 15 | (width) << 12 | ((offset) & 31) << 7 | 0x23)
#define LB(rd, rs, o) LOAD(0, rd, rs, o)
#define LW(rd, rs, o) LOAD(2, rd, rs, o)
#define LD(rd, rs, o) LOAD(3, rd, rs, o)
#define SB(rs2, rs1, o) STORE(0, rs2, rs1, o)
#define SW(rs2, rs1, o) STORE(2, rs2, rs1, o)
#define SD(rs2, rs1, o) STORE(3, rs2, rs1, o)
#define LX(rd, rs, o) LOAD(XLEN == 64 ? 3 : 2, rd, rs, o)
#define JALR(rd, rs) ((rs) << 15 | (rd) << 7 | 0x67)
#define ADDI(rd, rs, imm) ((uint32_t)(imm) << 20 | (rs) << 15 | (rd) << 7 | 0x13)
#define AMOADD_W(rd, rs2, rs1) ((rs2) << 20 | (rs1) << 15 | 2 << 12 | (rd) << 7 | 0x2f)
#define LR_W(rd, rs1) (2u << 27 | (rs1) << 15 | 2 << 12 | (rd) << 7 | 0x2f)
#define SC_W(rd, rs2, rs1) (3u << 27 | (rs2) << 20 | (rs1) << 15 | 2 << 12 | (rd) << 7 | 0x2f)
#define SYSTEM(funct7, rs2, rs1) ((uint32_t)(funct7) << 25 | (rs2) << 20 | (rs1) << 15 | 0x73)
#define ECALL 0x00000073
#define EBREAK 0x00100073
#define NOP 0x00000013
#define URET 0x00200073
#define SRET 0x10200073
#define MRET 0x30200073
#define MNRET 0x70200073
#define WFI 0x10500073
#define FENCE_I 0x0000100f
#define SFENCE_VMA(rs1, rs2) SYSTEM(9, rs2, rs1)
#define SINVAL_VMA(rs1, rs2) SYSTEM(11, rs2, rs1)
#define SFENCE_W_INVAL SYSTEM(12, 0, 0)
#define SFENCE_INVAL_IR SYSTEM(12, 1, 0)
#define HFENCE_VVMA(rs1, rs2) SYSTEM(0x11, rs2, rs1)
#define HFENCE_GVMA(rs1, rs2) SYSTEM(0x31, rs2, rs1)
#define HINVAL_VVMA(rs1, rs2) SYSTEM(0x13, rs2, rs1)
#define HINVAL_GVMA(rs1, rs2) SYSTEM(0x33, rs2, rs1)
#define HYPERVISOR(funct7, rd, rs1, rs2) ((uint32_t)(funct7) << 25 | (rs2) << 20 | (rs1) << 15 | 4 << 12 | (rd) << 7 | 0x73)

/* Code made at run time: in a page of its own, so that page tables can map it. */
extern uint32_t code[1024];
/* The trap handler for supervisor modes: reads scause, stval, sepc, sstatus into a2…a5 and calls machine mode. */
extern uint32_t supervisor_handler[64];
/* Runs `count` words of code in a mode; an ecall is appended. */
void execute(struct frame *, int mode, int count, const uint32_t *words);
#define EXECUTE(frame, mode, ...) do { const uint32_t words_[] = { __VA_ARGS__ }; execute(frame, mode, ARRAY(words_), words_); } while (0)
/* One line: the name, the mode and how it ended. */
void report(const char *name, int mode, const struct frame *);
/* Opens all physical memory to S and U by the last PMP entry. */
void open_memory(void);
/* Makes the handler of supervisor modes and points stvec to it. */
void make_supervisor_handler(void);
/* An address as the offset into the code page, or as it is. */
word relative(word address);

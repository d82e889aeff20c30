// vmm.c   the smallest monitor that boots Linux under KVM on riscv64: memory, a hart, SBI's debug console.
//   vmm IMAGE TREE INITRD MIB   IMAGE at 2 MiB from the start of memory, TREE at its 128th MiB, INITRD 2 MiB behind that.
// Ends when the guest shuts down; status 0 then.
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE 0x80000000ull
// <asm/kvm.h> of older headers lacks the debug console.
#define CORE(place) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | (place) / sizeof(unsigned long))
#define DEBUG_CONSOLE_SWITCH (KVM_REG_RISCV | KVM_REG_SIZE_U64 | 0x08ull << 24 | 9)
enum { LEGACY_PUT = 1, LEGACY_GET = 2, DEBUG_CONSOLE = 0x4442434e };
enum { NOT_SUPPORTED = -2, INVALID = -3 };

static void fail(const char *what) { fprintf(stderr, "vmm: %s: %s\n", what, strerror(errno)); exit(1); }
static int must(int result, const char *what) { if (result < 0) fail(what); return result; }

static char *memory;
static size_t size;

static void load(const char *path, size_t place) {
    int file = must(open(path, O_RDONLY), path);
    struct stat info;
    must(fstat(file, &info), path);
    if (place + info.st_size > size) { errno = ENOMEM; fail(path); }
    for (size_t done = 0; done < (size_t)info.st_size;) {
        ssize_t count = read(file, memory + place + done, info.st_size - done);
        if (count <= 0) fail(path);
        done += count;
    }
    close(file);
}

static void set(int vcpu, uint64_t id, uint64_t value, const char *what) {
    struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)&value};
    must(ioctl(vcpu, KVM_SET_ONE_REG, &reg), what);
}

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "usage: vmm IMAGE TREE INITRD MIB\n"); return 2; }
    size = strtoul(argv[4], NULL, 10) << 20;
    int kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
    int machine = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("memory");
    struct kvm_userspace_memory_region region = {.guest_phys_addr = BASE, .memory_size = size, .userspace_addr = (uint64_t)memory};
    must(ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    load(argv[1], 2 << 20);
    load(argv[2], 128 << 20);
    load(argv[3], 130 << 20);
    int vcpu = must(ioctl(machine, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    struct kvm_run *run = mmap(NULL, must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE"), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) fail("kvm_run");
    set(vcpu, DEBUG_CONSOLE_SWITCH, 1, "the debug console");
    set(vcpu, CORE(offsetof(struct kvm_riscv_core, regs.pc)), BASE + (2 << 20), "pc");
    set(vcpu, CORE(offsetof(struct kvm_riscv_core, regs.a0)), 0, "a0");
    set(vcpu, CORE(offsetof(struct kvm_riscv_core, regs.a1)), BASE + (128 << 20), "a1");
    printf("VMM runs\n");
    fflush(stdout);
    for (unsigned long exits = 0;; exits++) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) { if (errno == EINTR || errno == EAGAIN) continue; fail("KVM_RUN"); }
        switch (run->exit_reason) {
        case KVM_EXIT_RISCV_SBI: {
            unsigned long *a = run->riscv_sbi.args, *ret = run->riscv_sbi.ret;
            ret[0] = ret[1] = 0;
            if (run->riscv_sbi.extension_id == LEGACY_PUT) putchar(a[0]);
            else if (run->riscv_sbi.extension_id == LEGACY_GET) ret[0] = -1;
            else if (run->riscv_sbi.extension_id == DEBUG_CONSOLE && run->riscv_sbi.function_id == 2) putchar(a[0]);
            else if (run->riscv_sbi.extension_id == DEBUG_CONSOLE && run->riscv_sbi.function_id == 0) {
                if (a[1] < BASE || a[1] - BASE > size || a[0] > size - (a[1] - BASE)) { ret[0] = INVALID; break; }
                fwrite(memory + (a[1] - BASE), 1, a[0], stdout);
                ret[1] = a[0];
            } else if (run->riscv_sbi.extension_id == DEBUG_CONSOLE && run->riscv_sbi.function_id == 1) ret[1] = 0;
            else ret[0] = NOT_SUPPORTED;
            fflush(stdout);
            break;
        }
        case KVM_EXIT_SYSTEM_EVENT:
            printf("VMM ended by the guest, event %u, after %lu exits\n", run->system_event.type, exits);
            return run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? 0 : 1;
        default:
            printf("VMM: exit reason %u\n", run->exit_reason);
            return 1;
        }
    }
}

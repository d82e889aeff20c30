// calls [SEED [ROUNDS]]   system calls with bad arguments, thousands of them, each batch in a child of its own. None may
// end the emulator: a child that dies by SIGSEGV, SIGILL, SIGTRAP, SIGBUS or SIGABRT is a failure, with its seed.
// Calls that would harm the machine or wait for ever are left out. Run it in an empty folder.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t state;
static uint64_t next(void) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return state;
}

static const int skipped[] = {
    SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
    SYS_pidfd_send_signal, SYS_reboot, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unlinkat, SYS_renameat2,
    SYS_linkat, SYS_symlinkat, SYS_mknodat, SYS_mkdirat, SYS_truncate, SYS_fchmodat, SYS_fchownat, SYS_sethostname,
    SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_swapon, SYS_swapoff,
    SYS_acct, SYS_vhangup, SYS_quotactl, SYS_quotactl_fd, SYS_syslog, SYS_clone, SYS_clone3, SYS_execve,
    SYS_execveat, SYS_rt_sigreturn, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_mmap,
    SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_shmat, SYS_shmdt, SYS_remap_file_pages, SYS_setuid,
    SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups,
    SYS_capset, SYS_prctl, SYS_setrlimit, SYS_prlimit64, SYS_setpriority, SYS_sched_setscheduler, SYS_sched_setparam,
    SYS_sched_setattr, SYS_sched_setaffinity, SYS_ioprio_set, SYS_unshare, SYS_setns, SYS_personality, SYS_setsid,
    SYS_setpgid, SYS_init_module, SYS_delete_module, SYS_landlock_restrict_self, SYS_process_madvise, SYS_mlockall,
    SYS_process_vm_writev, SYS_process_mrelease, SYS_keyctl, SYS_setitimer, SYS_timer_create, SYS_sync, SYS_syncfs,
    SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_fsopen, SYS_fsmount, SYS_fsconfig, SYS_fspick, SYS_shmctl,
    SYS_semctl, SYS_msgctl, SYS_shmget, SYS_semget, SYS_msgget, SYS_mq_open, SYS_mq_unlink, SYS_set_robust_list,
    SYS_set_tid_address, SYS_fallocate, SYS_ftruncate, SYS_memfd_create, SYS_fchmod, SYS_fchown, SYS_kexec_load,
};

static int isSkipped(int number) {
    for (unsigned i = 0; i < sizeof skipped / sizeof *skipped; i++) if (skipped[i] == number) return 1;
    return number < 0;
}

static char *edge, *area;

static uint64_t argument(void) {
    switch (next() % 16) {
    case 0: return 0;
    case 1: return -1;
    case 2: return 1;
    case 3: return (uint64_t)area + next() % 4096;
    case 4: return (uint64_t)edge - next() % 64;
    case 5: return (uint64_t)edge;
    case 6: return 0x10;
    case 7: return 0x8000000000000000;
    case 8: return 0x7fffffffffff0000;
    case 9: return 0xffffffff;
    case 10: return next() % 64;
    case 11: return 1ull << (next() % 64);
    case 12: return 3 + next() % 5;
    case 13: return next();
    case 14: return 4096;
    default: return (uint64_t)area;
    }
}

static void batch(uint64_t seed) {
    struct rlimit core = {0, 0}, size = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_CORE, &core);
    setrlimit(RLIMIT_FSIZE, &size);
    signal(SIGPIPE, SIG_IGN); signal(SIGXFSZ, SIG_IGN); signal(SIGIO, SIG_IGN);
    state = seed * 0x9e3779b97f4a7c15 | 1;
    area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge = area + 2 * 4096;
    mprotect(edge, 4096, PROT_NONE);
    int null = open("/dev/null", O_RDWR), pipes[2];
    dup2(null, 0); dup2(null, 1);
    pipe2(pipes, O_NONBLOCK);
    for (int i = 0; i < 400; i++) {
        int number = next() % 470;
        if (isSkipped(number)) continue;
        for (int j = 0; j < 64; j++) area[j * 128] = (char)next();
        alarm(1);
        syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
    }
    _exit(0);
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    int rounds = argc > 2 ? atoi(argv[2]) : 100, failed = 0;
    for (int i = 0; i < rounds; i++, seed++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) batch(seed);
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) { perror("fork"); return 1; }
        int s = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        if (s == SIGSEGV || s == SIGILL || s == SIGTRAP || s == SIGBUS || s == SIGABRT) {
            printf("seed %llu: %s\n", (unsigned long long)seed, strsignal(s));
            failed++;
        }
    }
    printf("%d of %d batches failed\n", failed, rounds);
    return failed != 0;
}

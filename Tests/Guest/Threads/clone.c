// clone and clone3 themselves, futex, robust lists, thread ids.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int parent_tid, child_tid = -1, ran, in_child_tid; static char stack[65536] __attribute__((aligned(16)));
static int body(void *p) { ran = (int)(long)p; in_child_tid = syscall(SYS_gettid); syscall(SYS_exit, 0); return 0; }
static int forked(void *p) { ran = 5; _exit((int)(long)p); }
static long futex(volatile int *w, int op, int v, struct timespec *t, volatile int *w2, int v3) { return syscall(SYS_futex, w, op, v, t, w2, v3); }
struct clone_arguments { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0); int status;
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
    int tid = clone(body, stack + sizeof stack, flags, (void *)3, &parent_tid, 0, &child_tid); int word;
    printf("parent's %d", parent_tid == tid); while ((word = child_tid) != 0) futex(&child_tid, FUTEX_WAIT, word, 0, 0, 0); printf(" ran %d its own %d cleared %d\n", ran, in_child_tid == tid, child_tid);
    errno = 0; tid = clone(body, stack + sizeof stack, CLONE_THREAD | CLONE_VM, 0); printf("thread without handlers %d errno %d\n", tid, errno);
    errno = 0; tid = clone(body, stack + sizeof stack, CLONE_SIGHAND, 0); printf("handlers without memory %d errno %d\n", tid, errno);
    ran = 0; pid_t p = clone(forked, stack + sizeof stack, SIGCHLD, (void *)8); waitpid(p, &status, 0); printf("process on a stack: %d ran %d\n", WEXITSTATUS(status), ran);
    ran = 0; p = clone(forked, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)9); printf("shared memory: ran %d", ran); waitpid(p, &status, 0); printf(" %d\n", WEXITSTATUS(status));
    signal(SIGUSR2, SIG_IGN); p = clone(forked, stack + sizeof stack, SIGUSR2, (void *)10); errno = 0; int r = waitpid(p, &status, 0); printf("other exit signal: %d errno %d", r, errno); r = waitpid(p, &status, __WALL); printf(" %d\n", r == p ? WEXITSTATUS(status) : -1);
    int pidfd = -1; p = clone(forked, stack + sizeof stack, CLONE_PIDFD | SIGCHLD, (void *)11, &pidfd); siginfo_t info; r = waitid(P_PIDFD, pidfd, &info, WEXITED); printf("pidfd %d status %d\n", r, info.si_status);
    struct clone_arguments three = {.exit_signal = SIGCHLD, .flags = CLONE_PARENT_SETTID, .parent_tid = (uintptr_t)&parent_tid}; p = syscall(435, &three, sizeof three); if (p == 0) _exit(21); waitpid(p, &status, 0); printf("clone3 %d %d\n", WEXITSTATUS(status), parent_tid == p);
    errno = 0; r = syscall(435, &three, 8); printf("clone3 small %d errno %d\n", r, errno); three.stack = 4096; errno = 0; r = syscall(435, &three, sizeof three); printf("clone3 odd stack %d errno %d\n", r, errno);
    if (geteuid() == 0) { p = clone(forked, stack + sizeof stack, CLONE_NEWUTS | SIGCHLD, (void *)12); waitpid(p, &status, 0); printf("namespace %d\n", WEXITSTATUS(status)); } else printf("namespace 12\n");

    volatile int cell = 5, other = 0; struct timespec brief = {0, 10000000};
    errno = 0; r = futex(&cell, FUTEX_WAIT, 6, 0, 0, 0); printf("other value %d errno %d\n", r, errno); errno = 0; r = futex(&cell, FUTEX_WAIT_PRIVATE, 5, &brief, 0, 0); printf("timeout %d errno %d\n", r, errno);
    errno = 0; r = futex((int *)8, FUTEX_WAIT, 5, &brief, 0, 0); printf("fault %d errno %d\n", r, errno); errno = 0; r = futex((int *)((char *)&cell + 1), FUTEX_WAIT, 5, &brief, 0, 0); printf("misaligned %d errno %d\n", r, errno);
    r = futex(&cell, FUTEX_WAKE, 10, 0, 0, 0); printf("nobody %d\n", r); r = futex(&cell, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)); printf("wake op %d other %d\n", r, other);
    brief.tv_nsec = 2000000000; errno = 0; r = futex(&cell, FUTEX_WAIT, 5, &brief, 0, 0); printf("bad time %d errno %d\n", r, errno); errno = 0; r = futex(&cell, 77, 5, 0, 0, 0); printf("bad operation %d errno %d\n", r, errno);
    struct { void *next; long offset; void *pending; } head = {&head, 0, 0}, *got; size_t length; r = syscall(SYS_set_robust_list, &head, 23); printf("robust length %d\n", r); r = syscall(SYS_set_robust_list, &head, sizeof head); r |= syscall(SYS_get_robust_list, 0, &got, &length); printf("robust %d %d %zu\n", r, got == (void *)&head, length);
    printf("ids %d %d\n", syscall(SYS_gettid) == getpid(), syscall(SYS_set_tid_address, &child_tid) == getpid());
}

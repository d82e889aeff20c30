// Identities, limits, scheduling, the system's facts; calls that must be refused.
#include "show.h"
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <sys/utsname.h>

int main(void) {
    struct utsname n;
    SHOW(uname(&n));
    printf("%s %s %s\n", n.sysname, n.nodename, n.version);
    TRUE(atoi(n.release) >= 5);
    SHOW(syscall(SYS_uname, BAD));
    TRUE(getpid() == getsid(0) || getsid(0) > 0);
    TRUE(syscall(SYS_gettid) == getpid());
    uid_t r, e, s;
    SHOW(getresuid(&r, &e, &s));
    TRUE(r == getuid() && e == geteuid());
    SHOW(syscall(SYS_getresgid, BAD, BAD, BAD));
    gid_t groups[100];
    SHOW(getgroups(100, groups) >= 0);
    SHOW(getgroups(-1, groups));
    SHOW(getpgid(0) > 0);
    SHOW(getpgid(999999999));
    SHOW(setpgid(0, 0));
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    SHOW(syscall(SYS_capget, &head, data));
    SHOW(personality(0xffffffff));

    struct rlimit l;
    SHOW(getrlimit(RLIMIT_NOFILE, &l));
    TRUE(l.rlim_cur <= l.rlim_max);
    l.rlim_cur = 100;
    SHOW(setrlimit(RLIMIT_NOFILE, &l));
    l.rlim_cur = 0;
    SHOW(getrlimit(RLIMIT_NOFILE, &l)); SHOW(l.rlim_cur);
    l.rlim_cur = 1ul << 30; l.rlim_max = RLIM_INFINITY;
    SHOW(setrlimit(RLIMIT_AS, &l));
    SHOW(getrlimit(RLIMIT_AS, &l)); SHOW(l.rlim_cur);
    l.rlim_cur = 5; l.rlim_max = 4;
    SHOW(setrlimit(RLIMIT_AS, &l));
    SHOW(setrlimit(99, &l));
    SHOW(getrlimit(RLIMIT_STACK, BAD));
    struct rusage u;
    SHOW(getrusage(RUSAGE_SELF, &u));
    TRUE(u.ru_maxrss > 100);
    SHOW(getrusage(99, &u));
    struct sysinfo i;
    SHOW(sysinfo(&i));
    TRUE(i.totalram > 1000000 / (i.mem_unit ? i.mem_unit : 1) && i.procs > 1 && i.uptime > 0 && i.mem_unit >= 1);

    cpu_set_t set;
    SHOW(sched_getaffinity(0, sizeof set, &set));
    TRUE(CPU_COUNT(&set) >= 1);
    SHOW(sched_setaffinity(0, sizeof set, &set));
    SHOW(sched_getaffinity(0, 1, &set));
    SHOW(syscall(SYS_sched_getaffinity, 0, 128, BAD));
    SHOW(sched_getscheduler(0));
    struct sched_param param = {1};
    SHOW(sched_getparam(0, &param)); SHOW(param.sched_priority);
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_get_priority_min(99));
    struct timespec t;
    WORKS(sched_rr_get_interval(0, &t));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    SHOW(getpriority(PRIO_PROCESS, 0));
    unsigned cpu = 9999, node;
    SHOW(getcpu(&cpu, &node));
    TRUE(cpu < 9999);
    SHOW(sched_yield());

    char name[20] = {0};
    SHOW(prctl(PR_SET_NAME, "apus-test"));
    SHOW(prctl(PR_GET_NAME, name));
    printf("%s\n", name);
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    int value = 0;
    SHOW(prctl(PR_GET_PDEATHSIG, &value)); SHOW(value);
    SHOW(prctl(PR_SET_PDEATHSIG, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &value)); SHOW(value);
    SHOW(prctl(PR_CAPBSET_READ, 0));
    SHOW(prctl(12345));
    char random[16];
    SHOW(getrandom(random, 16, 0));
    SHOW(getrandom(BAD, 16, 0));
    SHOW(getrandom(random, 16, 0x100));
    char mine[4] = "abc", copy[4] = "";
    struct iovec here = {copy, 4}, there = {mine, 4};
    SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
    printf("%s\n", copy);
    SHOW(syscall(SYS_pidfd_open, getpid(), 0) > 0);
    SHOW(syscall(SYS_pidfd_open, -1, 0));
    SHOW(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 2) >= 0);
    SHOW(syscall(5000));
    SHOW(syscall(-1));
}

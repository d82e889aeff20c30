// Many children that share their parent's memory, and leave it in each of the ways there are: what they had is gone with
// them, and signals reach the parent as before.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int shared, alarms;
static void handler(int signal) { alarms++; }

static long kilobytes(const char *name) {
    char line[256]; long value = 0; FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f)) if (!strncmp(line, name, strlen(name))) value = atol(line + strlen(name) + 1);
    fclose(f);
    return value;
}

static char *const arguments[] = {"true", NULL}, *const none[] = {NULL};

static int child(int way) {
    pid_t pid = vfork();
    if (pid == 0) {
        shared++;
        switch (way) {
        case 0: _exit(3);
        case 1: syscall(SYS_exit, 4);
        case 2: execve("/bin/true", arguments, none); _exit(5);
        case 3: execve("/nowhere", arguments, none); _exit(errno);
        case 4: kill(getpid(), SIGKILL);
        default: raise(SIGTERM); _exit(6);
        }
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static char stack[65536] __attribute__((aligned(16)));
static int beside(void *argument) { shared++; return 7; }

int main(void) {
    stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&alternate, NULL);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    for (int way = 0; way < 6; way++) {
        printf("way %d: %x\n", way, child(way));
        raise(SIGALRM);
    }
    long size = kilobytes("VmSize:"), resident = kilobytes("VmRSS:");
    for (int i = 0; i < 1000; i++) child(i & 3);
    printf("%s %s\n", kilobytes("VmSize:") - size < 2048 ? "no room is lost" : "room is lost", kilobytes("VmRSS:") - resident < 4096 ? "no memory is lost" : "memory is lost");
    for (int i = 0; i < 400; i++) {
        // Stacks of threads are kept for the next ones at first.
        if (i == 100) resident = kilobytes("VmRSS:");
        int status = -1; pid_t pid = clone(beside, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
        waitpid(pid, &status, 0);
        if (status != 7 << 8) { printf("beside: %x\n", status); break; }
    }
    printf("%s\n", kilobytes("VmRSS:") - resident < 4096 ? "no memory is lost" : "memory is lost");
    raise(SIGALRM);
    printf("%d children, %d alarms\n", shared, alarms);
    return 0;
}

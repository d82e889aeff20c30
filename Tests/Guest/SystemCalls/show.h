// What the programs here share: each prints the results of system calls, one a line, so that the same program built
// for the host shows what is right. Numbers that differ from run to run (ids, times, addresses) are only compared.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__
static const char *strerrorname_np(int number) { return strerror(number); }
#endif

static void show(int line, const char *text, long value) {
    if (value < 0) printf("%d %s = %ld %s\n", line, text, value, strerrorname_np(errno));
    else printf("%d %s = %ld\n", line, text, value);
}
#define SHOW(call) do { errno = 0; long v_ = (long)(call); show(__LINE__, #call, v_); } while (0)
// Only whether it worked.
#define WORKS(call) do { errno = 0; long v_ = (long)(call); show(__LINE__, #call, v_ < 0 ? v_ : 0); } while (0)
#define TRUE(condition) printf("%d %s: %s\n", __LINE__, #condition, (condition) ? "yes" : "no")
#define BAD ((void *)0x10)

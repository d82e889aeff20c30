// System calls of recent kernels, by number: one number on all architectures.
#include "show.h"
#include <pthread.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <linux/fs.h>

static uint32_t word;
static void *wake(void *unused) {
    usleep(30000);
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(454, &word, ~0ul, 1, 2);
    return NULL;
}
static int ticks;
static void tick(int number) { ticks++; }

int main(void) {
    char buffer[4096];
    // futex_wake, futex_wait, futex_requeue (flag 2: 32 bits)
    SHOW(syscall(454, &word, ~0ul, 1, 2));
    SHOW(syscall(454, &word, 0ul, 1, 2));
    SHOW(syscall(454, BAD, ~0ul, 1, 2));
    SHOW(syscall(455, &word, 1ul, ~0ul, 2, NULL, CLOCK_MONOTONIC));
    struct timespec past = { 1, 0 };
    SHOW(syscall(455, &word, 0ul, ~0ul, 2, &past, CLOCK_MONOTONIC));
    pthread_t thread;
    pthread_create(&thread, NULL, wake, NULL);
    long result = syscall(455, &word, 0ul, ~0ul, 2, NULL, CLOCK_MONOTONIC);
    TRUE(result == 0 || errno == EAGAIN);
    pthread_join(thread, NULL);
    struct { uint64_t value, address; uint32_t flags, reserved; } pair[2] = { { 1, (uintptr_t)&word, 2 }, { 1, (uintptr_t)(&word + 1), 2 } };
    SHOW(syscall(456, pair, 0, 1, 1));
    // A signal ends a wait.
    signal(SIGALRM, tick);
    siginterrupt(SIGALRM, 1);
    struct itimerval soon = { { 0, 0 }, { 0, 20000 } };
    setitimer(ITIMER_REAL, &soon, NULL);
    SHOW(syscall(455, &word, 1ul, ~0ul, 2, NULL, CLOCK_MONOTONIC));
    SHOW(ticks);
    // statmount, listmount: the root's mount
    struct { uint32_t size, spare; uint64_t id, parameter; } request = { 24, 0, ~0ull, 0 };
    uint64_t mounts[64];
    TRUE(syscall(458, &request, mounts, 64, 0) > 0);
    SHOW(syscall(458, &request, mounts, 64, 77));
    SHOW(syscall(457, BAD, buffer, sizeof buffer, 0));
    // lsm_list_modules
    uint32_t size = 0;
    SHOW(syscall(461, NULL, &size, 0));
    SHOW(syscall(461, NULL, NULL, 0));
    // mseal
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(syscall(462, p, 4096, 1));
    SHOW(syscall(462, p + 1, 4096, 0));
    SHOW(syscall(462, p, 4096, 0));
    SHOW(munmap(p, 4096));
    SHOW(mprotect(p, 4096, PROT_READ));
    p[0] = 1;
    SHOW(munmap(p + 4096, 4096));
    // setxattrat … removexattrat
    int f = open("attributes", O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct { uint64_t value; uint32_t size, flags; } attribute = { (uintptr_t)"value", 5, 0 };
    long set = syscall(463, AT_FDCWD, "attributes", 0, "user.apus", &attribute, 16);
    TRUE(set == 0 || errno == EOPNOTSUPP || errno == ENOSYS);
    attribute.value = (uintptr_t)buffer; attribute.size = 100;
    long got = syscall(464, AT_FDCWD, "attributes", 0, "user.apus", &attribute, 16);
    TRUE(set != 0 || (got == 5 && !memcmp(buffer, "value", 5)));
    TRUE(set != 0 || syscall(465, AT_FDCWD, "attributes", 0, buffer, 100) >= 10);
    TRUE(set != 0 || syscall(466, AT_FDCWD, "attributes", 0, "user.apus") == 0);
    // cachestat, fchmodat2, process_madvise
    write(f, buffer, 4096);
    uint64_t range[2] = { 0, 4096 }, state[5] = { 0 };
    SHOW(syscall(451, f, range, state, 0)); SHOW(state[0]);
    SHOW(syscall(452, AT_FDCWD, "attributes", 0640, 0));
    struct stat st;
    stat("attributes", &st);
    printf("%o\n", st.st_mode);
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    struct { void *start; size_t length; } vector = { p, 4096 };
    SHOW(syscall(SYS_process_madvise, self, &vector, 1, MADV_WILLNEED, 0));
    SHOW(syscall(SYS_process_madvise, self, &vector, 1, 12345, 0));
    // move_pages: where they are
    int where[1] = { -77 };
    void *page[1] = { p };
    SHOW(syscall(SYS_move_pages, 0, 1, page, NULL, where, 0)); TRUE(where[0] != -77);
    // Requests of ioctl that Apus has no row for: file flags of FAT on a file without them, the random source.
    uint32_t bits;
    SHOW(ioctl(f, 0x80047210, &bits));
    int dice = open("/dev/urandom", O_RDONLY), entropy = -1;
    SHOW(ioctl(dice, 0x80045200, &entropy)); TRUE(entropy >= 0);
    SHOW(ioctl(-1, 0x80047210, &bits));
    // fanotify needs privilege: what matters is that it is the kernel that answers.
    int watch = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
    if (watch >= 0) {
        TRUE(fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "attributes") == 0);
        close(open("attributes", O_RDONLY));
        struct fanotify_event_metadata event;
        TRUE(read(watch, &event, sizeof event) == sizeof event && event.mask == FAN_OPEN && event.pid == getpid());
    } else { puts("76 fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, \"attributes\") == 0: yes"); puts(""); }
    // Limits of memory bind.
    struct rlimit limit = { 512 << 20, RLIM_INFINITY };
    SHOW(setrlimit(RLIMIT_AS, &limit));
    TRUE(mmap(NULL, 1ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED && errno == ENOMEM);
    char *q = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRUE(q != MAP_FAILED);
    TRUE(mremap(q, 1 << 20, 1ul << 30, MREMAP_MAYMOVE) == MAP_FAILED);
    TRUE(malloc(1ul << 30) == NULL);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 256 << 20;
    setrlimit(RLIMIT_DATA, &limit);
    TRUE(mmap(NULL, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    TRUE(mmap(NULL, 1ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    TRUE(sbrk(1 << 30) == (void *)-1);
    unlink("attributes");
    return 0;
}

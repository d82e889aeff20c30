# seconds: 240
# The guest's own gcc compiles, assembles and links; what it made runs.
set -eu
cat > main.c <<'EOF'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <complex.h>
#include <stdatomic.h>
#include <unistd.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <errno.h>
int answer(int);
static _Thread_local int mine; static atomic_long total; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static pthread_barrier_t barrier; static long guarded;
static void *work(void *p) { mine = (int)(long)p; pthread_barrier_wait(&barrier); for (int i = 0; i < 20000; i++) { atomic_fetch_add(&total, mine); pthread_mutex_lock(&lock); guarded += mine; pthread_mutex_unlock(&lock); } return (void *)(long)mine; }
static sigjmp_buf back; static volatile sig_atomic_t got; static char *page;
static void on_fault(int s, siginfo_t *i, void *u) { got = s; if (i->si_addr != page + 8) got = -1; siglongjmp(back, 1); }
static void on_fix(int s, siginfo_t *i, void *u) { mprotect(page, 4096, PROT_READ | PROT_WRITE); }
static int compare(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }
int main(int c, char **v) {
  printf("%d arguments, answer %d, long double %.15Lf\n", c, answer(41), sqrtl(2.0L));
  pthread_t t[4]; pthread_barrier_init(&barrier, 0, 4); for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, work, (void *)(i + 1)); long s = 0; for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); s += (long)r; } printf("threads %ld %ld %ld\n", s, atomic_load(&total), guarded);
  page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }; sigaction(SIGSEGV, &a, 0); if (!sigsetjmp(back, 1)) page[8] = 1; printf("fault %d at the right place\n", got);
  a.sa_sigaction = on_fix; sigaction(SIGSEGV, &a, 0); page[8] = 42; printf("repaired %d\n", page[8]);
  double x[1000], sum = 0; for (int i = 0; i < 1000; i++) x[i] = sin(i) * exp(i / 500.0); qsort(x, 1000, sizeof *x, compare); for (int i = 0; i < 1000; i++) sum += x[i] * (i % 7); printf("%.12g %.12g %.12g\n", sum, x[500], cbrt(3));
  double complex z = cexp(I * M_PI / 3); printf("%.6f %.6f\n", creal(z), cimag(z)); char *m = malloc(1 << 22); memset(m, 7, 1 << 22); memmove(m + 3, m, 1 << 21); printf("%d %zu\n", m[1 << 21], strlen(strcpy(m, "text"))); free(m);
  fflush(stdout); pid_t p = fork(); if (!p) { execl("/bin/echo", "echo", "child", "runs", (char *)0); _exit(1); } int st; waitpid(p, &st, 0); printf("child %d\n", WEXITSTATUS(st)); p = fork(); if (!p) { signal(SIGSEGV, SIG_DFL); *(volatile int *)16 = 0; _exit(0); } waitpid(p, &st, 0); printf("killed by %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
  printf("%lld %llu %d\n", 0x7fffffffffffffffLL / -3, 18446744073709551615ULL % 1000007, (int)(signed char)200 != 200); return 7; }
EOF
echo 'int answer(int x) { return x + 1; }' > answer.c
for flags in -O0 "-O2 -pthread" "-O3 -funroll-loops -fPIC" "-Os -static"; do gcc $flags -w -c answer.c; gcc $flags -w main.c answer.o -o main -lm -pthread; ./main a b > out.txt || echo "ended with $?"; md5sum < out.txt; done
grep -v 'long double' out.txt
gcc -shared -fPIC answer.c -o libanswer.so; gcc -w main.c -L. -lanswer -lm -o linked; LD_LIBRARY_PATH=. ./linked | head -1 | cut -d, -f2
ar rcs libstatic.a answer.o; nm libstatic.a | grep -c ' T answer'; gcc -O2 -S -o - answer.c | grep -c ret; objdump -d answer.o | grep -c ret; echo 'int main(void) { return x; }' | gcc -x c - 2>&1 | grep -c error; gcc -E -dM -x c /dev/null | grep -c __SIZEOF_POINTER__; echo '#include <stdio.h>
int main(void) { puts("from make"); }' > made.c; printf 'made: made.c\n\t@gcc -o $@ $<\nall: made\n\t@./made\n' > Makefile; make -s -j2 all; strip made; ./made

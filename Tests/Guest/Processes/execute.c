// exec in its forms, its errors, and what survives it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void make(const char *name, const char *text, int mode) { int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600); write(fd, text, strlen(text)); close(fd); chmod(name, mode); }
static void attempt(const char *what, const char *path, char **arguments) {
    pid_t p = fork(); int status; if (p == 0) { execve(path, arguments, environ); printf("%s: errno %d\n", what, errno); _exit(100); }
    waitpid(p, &status, 0); if (WEXITSTATUS(status) != 100) printf("%s: status %d\n", what, WEXITSTATUS(status));
}
static void spawn(const char *what, const char *path, char **arguments) { pid_t p; int status, r = posix_spawn(&p, path, 0, 0, arguments, environ); if (r == 0) { waitpid(p, &status, 0); printf("%s: spawned, status %d\n", what, WEXITSTATUS(status)); } else printf("%s: spawn error %d\n", what, r); }
static volatile int handled; static void handler(int s) { handled++; }

int main(int argc, char **argv, char **env) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc > 1 && !strcmp(argv[1], "show")) { printf("argv[0] %s, %d arguments:", argv[0], argc - 2); for (int i = 2; i < argc; i++) printf(" [%s]", argv[i]); printf(" environment:"); for (int hidden = 0; hidden < 2; hidden++) for (char **e = env; *e; e++) if (!strncmp(*e, "LD_", 3) == hidden) printf(" %s", *e); printf("\n"); return 17; }
    if (argc > 1 && !strcmp(argv[1], "descriptors")) { for (int i = 3; i < 30; i++) if (fcntl(i, F_GETFD) >= 0) printf(" %d", i); printf("\n"); return 0; }
    if (argc > 1 && strstr(argv[1], "script")) { printf("interpreter %s:", argv[0]); for (int i = 1; i < argc; i++) printf(" [%s]", argv[i]); printf("\n"); return 18; }
    if (argc > 2 && strstr(argv[2], "script")) { printf("interpreter with argument:"); for (int i = 1; i < argc; i++) printf(" [%s]", argv[i]); printf("\n"); return 19; }
    char *const environment[] = {"A=1", "LD_LIBRARY_PATH=/nowhere", "B=two words", "LD_PRELOAD=", 0}; int status; pid_t p;
    char *show[] = {"any name", "show", "x", "", "two words", "-L", "--", "\xff\xfe", 0};
    p = fork(); if (p == 0) { execve("./program", show, environment); _exit(1); } waitpid(p, &status, 0); printf("status %d\n", WEXITSTATUS(status));
    char *option[] = {"-strange", "show", "--help", 0}; p = fork(); if (p == 0) { execve("./program", option, environment); _exit(1); } waitpid(p, &status, 0);
    char *empty_environment[] = {0}; p = fork(); if (p == 0) { execve("./program", option, empty_environment); _exit(1); } waitpid(p, &status, 0);
    symlink("program", "-dash"); p = fork(); if (p == 0) { execve("-dash", option, empty_environment); _exit(1); } waitpid(p, &status, 0);

    mkdir("folder", 0755); make("plain", "echo hello\n", 0644); make("text", "echo hello\n", 0755); make("empty", "", 0755);
    make("script", "#!./program\nhello\n", 0755); make("script2", "#! ./program  one argument  \nhello\n", 0755); make("script3", "#!./script\n", 0755); make("loop", "#!./loop\n", 0755); make("lost", "#!/no/such/interpreter\n", 0755); make("blank", "#!\n", 0755); make("shell", "#!/bin/sh\necho shell $0 $*; exit 4\n", 0755);
    make("cut", "\177ELF\2\1\1", 0755);
    char *none[] = {"name", "argument", 0}; symlink("nowhere", "dangling"); symlink("circle", "circle");
    const char *paths[] = {"./missing", "", "./folder", "./plain", "./text", "./empty", "./script", "./script2", "./script3", "./loop", "./lost", "./blank", "./shell", "./cut", "./dangling", "./circle", "./plain/x", "/bin/false", 0};
    for (int i = 0; paths[i]; i++) { if (strcmp(paths[i], "./script3")) attempt(paths[i], paths[i], none); spawn(paths[i], paths[i], none); }
    errno = 0; int r = execve((char *)8, none, environ); printf("bad path %d errno %d\n", r, errno); r = execve("./program", (char **)8, environ); printf("bad vector %d errno %d\n", r, errno); r = execve("./program", none, (char **)8); printf("bad environment %d errno %d\n", r, errno);
    char *bad[] = {"name", (char *)8, 0}; r = execve("./program", bad, environ); printf("bad string %d errno %d\n", r, errno);
    char *huge = malloc(200000); memset(huge, 'x', 199999); huge[199999] = 0; char *big[] = {"name", huge, 0}; r = execve("./program", big, environ); printf("huge string %d errno %d\n", r, errno);
    char longest[5000]; memset(longest, 'y', 4999); longest[4999] = 0; r = execve(longest, none, environ); printf("long name %d errno %d\n", r, errno);
    memset(huge, 'x', 120000); huge[120000] = 0; p = fork(); if (p == 0) { char *large[] = {"name", huge, huge, huge, 0}; execve("/bin/true", large, environ); printf("large: errno %d\n", errno); _exit(1); } waitpid(p, &status, 0); printf("large %d\n", WEXITSTATUS(status));

    int directory = open("folder", O_RDONLY | O_DIRECTORY); rename("program", "folder/program"); char *again[] = {"by directory", "show", "y", 0};
    p = fork(); if (p == 0) { syscall(SYS_execveat, directory, "program", again, environment, 0); printf("errno %d\n", errno); _exit(1); } waitpid(p, &status, 0);
    rename("folder/program", "program"); int file = open("program", O_RDONLY | O_CLOEXEC); again[0] = "by descriptor"; p = fork(); if (p == 0) { syscall(SYS_execveat, file, "", again, environment, AT_EMPTY_PATH); printf("errno %d\n", errno); _exit(1); } waitpid(p, &status, 0);
    symlink("program", "link"); errno = 0; p = fork(); if (p == 0) { syscall(SYS_execveat, AT_FDCWD, "link", again, environment, AT_SYMLINK_NOFOLLOW); printf("link: errno %d\n", errno); _exit(1); } waitpid(p, &status, 0); r = syscall(SYS_execveat, AT_FDCWD, "program", again, environment, 64); printf("bad flags %d errno %d\n", r, errno);
    again[0] = "fexecve"; p = fork(); if (p == 0) { fexecve(file, again, environment); _exit(1); } waitpid(p, &status, 0);
    again[0] = "self"; p = fork(); if (p == 0) { execve("/proc/self/exe", again, environment); _exit(1); } waitpid(p, &status, 0);
    for (int i = 3; i < 30; i++) close(i); open("/dev/null", O_RDONLY); open("/dev/null", O_RDONLY | O_CLOEXEC); open("/dev/null", O_RDONLY); char *list[] = {"program", "descriptors", 0}; p = fork(); if (p == 0) { execve("./program", list, environ); _exit(1); } waitpid(p, &status, 0);

    // A vfork child that changes what is per process does not change its parent.
    signal(SIGUSR1, handler); signal(SIGUSR2, handler); sigset_t set, old; sigemptyset(&set); sigaddset(&set, SIGHUP);
    p = vfork(); if (p == 0) { signal(SIGUSR1, SIG_IGN); signal(SIGUSR2, SIG_DFL); sigprocmask(SIG_BLOCK, &set, 0); _exit(3); } waitpid(p, &status, 0); raise(SIGUSR1); raise(SIGUSR2); sigprocmask(SIG_BLOCK, 0, &old); printf("vfork %d handled %d blocked %d\n", WEXITSTATUS(status), handled, sigismember(&old, SIGHUP));
    p = vfork(); if (p == 0) { raise(SIGUSR1); _exit(handled); } waitpid(p, &status, 0); printf("handler in a vfork child %d %d\n", WEXITSTATUS(status), handled);
    p = vfork(); if (p == 0) { kill(getpid(), SIGKILL); _exit(handled); } waitpid(p, &status, 0); printf("killed vfork child %d\n", WTERMSIG(status));
    posix_spawnattr_t attributes; posix_spawnattr_init(&attributes); sigemptyset(&set); sigaddset(&set, SIGUSR1); posix_spawnattr_setsigdefault(&attributes, &set); sigaddset(&set, SIGTERM); posix_spawnattr_setsigmask(&attributes, &set); posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP); posix_spawnattr_setpgroup(&attributes, 0);
    signal(SIGUSR1, SIG_IGN); signal(SIGUSR2, SIG_IGN); char *shell[] = {"sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status; test $(ps -o pgid= -p $$) = $$ && echo own group", 0}; r = posix_spawn(&p, "/bin/sh", 0, &attributes, shell, environ); waitpid(p, &status, 0); printf("spawn %d status %d\n", r, status);
    posix_spawn_file_actions_t actions; posix_spawn_file_actions_init(&actions); posix_spawn_file_actions_addopen(&actions, 1, "output", O_CREAT | O_WRONLY | O_TRUNC, 0600); char *echo[] = {"echo", "in a file", 0}; r = posix_spawnp(&p, "echo", &actions, 0, echo, environ); waitpid(p, &status, 0); char text[50] = ""; int fd = open("output", O_RDONLY); read(fd, text, 49); printf("file action %d %d %s", r, status, text);
    posix_spawn_file_actions_addopen(&actions, 2, "/no/such/file", O_RDONLY, 0); r = posix_spawnp(&p, "echo", &actions, 0, echo, environ); printf("bad file action %d\n", r);
    printf("system %d\n", WEXITSTATUS(system("exit 6"))); FILE *f = popen("echo from a pipe; cat", "r"); if (f) { while (fgets(text, 50, f)) printf("%s", text); printf("pclose %d\n", pclose(f)); }
}

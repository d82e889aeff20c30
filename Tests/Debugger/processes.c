#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <spawn.h>
extern char **environ;
void in_child(void) { printf("child\n"); fflush(stdout); }
void after_exec(void) { printf("executed\n"); fflush(stdout); }
void in_parent(int status) { printf("parent %d\n", status); fflush(stdout); }
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "again")) { after_exec(); return 5; }
    int status; pid_t p = fork();
    if (p == 0) { in_child(); execl(argv[0], argv[0], "again", (char *)0); _exit(9); }
    waitpid(p, &status, 0); in_parent(WEXITSTATUS(status));
    char *args[] = { argv[0], "again", 0 };
    posix_spawn(&p, argv[0], 0, 0, args, environ);
    waitpid(p, &status, 0); in_parent(WEXITSTATUS(status));
    execv(argv[0], args);
}

// Prints what the kernel and the emulator made of its start.
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (int i = 0; i < count; i++) printf("[%s] ", arguments[i]);
    int next = dup(0);
    close(next);
    printf("secure %lu uid %d euid %d fd %d\n", getauxval(AT_SECURE), getuid(), geteuid(), next);
    fflush(stdout);
    // A second program of the guest, started by the first.
    if (count > 2 && arguments[1][0] == '@') {
        execv(arguments[1] + 1, arguments + 2);
        perror("execv");
        return 1;
    }
    return 0;
}

// Runs until it is told to stop.
#include <stdio.h>
#include <unistd.h>
volatile int stop, turns;
int main(void) {
    puts("ready"); fflush(stdout);
    while (!stop) { turns++; usleep(10000); }
    printf("stopped\n");
    return 0;
}

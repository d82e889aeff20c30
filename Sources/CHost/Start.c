// What must happen before the Swift runtime starts, and what it cannot do where /proc is not mounted, as in a bare chroot:
// it looks for its own path in static constructors, and ends the process without one; and it reads the arguments there.
#include "include/CHost.h"
#include <stdlib.h>
#include <unistd.h>

static int added, argument_count;
static char **argument_values;

static void prepare(int count, char **arguments, char **variables) {
    (void)variables;
    argument_count = count;
    argument_values = arguments;
    char byte;
    // A root that it is told stops the search.
    if (getenv("SWIFT_ROOT") == NULL && readlink("/proc/self/exe", &byte, 1) < 0)
        added = putenv("SWIFT_ROOT=/") == 0;
}

__attribute__((section(".preinit_array"), used)) static void (*const preparation)(int, char **, char **) = prepare;

void apus_start_finish(void) {
    if (added) unsetenv("SWIFT_ROOT");
    added = 0;
}

int apus_argument_count(void) { return argument_count; }

const char *apus_argument(int index) {
    return index >= 0 && index < argument_count ? argument_values[index] : NULL;
}

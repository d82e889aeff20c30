// Processes of Apus's own tools: going into the background. (Guests' processes are made by SystemCall.c.)
#include "CHost.h"
#include <unistd.h>

int apus_process_fork(void) { return fork(); }

// Thread-local slots that signal handlers may read (initial-exec: no lazy allocation), and thread creation.
#include "include/CHost.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread void *slots[8] __attribute__((tls_model("initial-exec")));

void *apus_thread_get(int slot) { return slots[slot & 7]; }
void apus_thread_set(int slot, void *value) { slots[slot & 7] = value; }

int apus_thread_start(void *(*function)(void *), void *argument, size_t stack) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_attr_setstacksize(&attributes, stack);
    pthread_t thread;
    if (!error) error = pthread_create(&thread, &attributes, function, argument);
    pthread_attr_destroy(&attributes);
    return error;
}

int apus_thread_number(void) { return (int)syscall(SYS_gettid); }

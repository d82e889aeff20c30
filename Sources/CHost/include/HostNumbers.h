// The host's system call numbers, which the platform's Swift modules do not export.
#pragma once
#include <sys/syscall.h>

// The host's system call numbers and auxiliary vector, which the platform's Swift modules do not export.
#pragma once
#include <sys/auxv.h>
#include <sys/syscall.h>

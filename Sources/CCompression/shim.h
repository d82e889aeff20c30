// Debian's zlib1g-dev, libzstd-dev, libbz2-dev and liblzma-dev. Linked from their static archives (Package.swift):
// a shared library more costs each program start more than these save.
#pragma once
#include <zlib.h>
#include <zstd.h>
#include <bzlib.h>
#include <lzma.h>

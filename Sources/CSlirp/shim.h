// The declarations of Debian's libslirp-dev. Nothing is linked: libslirp brings GLib, which would slow every program start.
#pragma once
#include <slirp/libslirp.h>

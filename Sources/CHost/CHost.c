#include "include/CHost.h"

// XML: Debian's libexpat1-dev, from its static archive. Chosen over libxml2 for its size, and because it fetches nothing and
// bounds what entities grow to.
#pragma once
#include <expat.h>

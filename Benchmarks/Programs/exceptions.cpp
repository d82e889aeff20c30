// C++ exceptions thrown through several frames with objects to destroy.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

static uint64_t destroyed;
struct Guard { int n; ~Guard() { destroyed += n; } };
__attribute__((noinline)) static int dive(int depth, int kind) {
    Guard guard{depth};
    if (depth == 0) {
        if (kind == 0) throw std::runtime_error("at the bottom");
        if (kind == 1) throw 42;
        return kind;
    }
    return dive(depth - 1, kind) + guard.n;
}
int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 60000;
    uint64_t total = 0;
    for (int i = 0; i < rounds; i++) {
        try { total += dive(i % 9, i % 4); }
        catch (const std::exception &e) { total += std::string(e.what()).size(); }
        catch (int n) { total += n; }
    }
    printf("%llu %llu\n", (unsigned long long)total, (unsigned long long)destroyed);
}

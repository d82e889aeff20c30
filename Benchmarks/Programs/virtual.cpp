// Virtual calls, std::function, sorting through a comparator object, a tree with shared pointers.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
    virtual uint64_t step(uint64_t x) const = 0;
};
template <int K> struct Kind : Shape {
    uint64_t c = K;
    uint64_t step(uint64_t x) const override { return (x ^ c) * (2 * K + 1) + (x >> (K + 3)); }
};
int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 4000;
    std::vector<std::unique_ptr<Shape>> shapes;
    uint32_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525 + 1013904223;
        switch (seed >> 29) {
        case 0: shapes.emplace_back(new Kind<0>); break;
        case 1: shapes.emplace_back(new Kind<1>); break;
        case 2: shapes.emplace_back(new Kind<2>); break;
        case 3: shapes.emplace_back(new Kind<3>); break;
        default: shapes.emplace_back(new Kind<4>); break;
        }
    }
    std::vector<std::function<uint64_t(uint64_t)>> functions = {
        [](uint64_t x) { return x + 1; }, [seed](uint64_t x) { return x ^ seed; }, [](uint64_t x) { return x * 3; }};
    uint64_t x = 88172645463325252ull;
    std::map<std::string, uint64_t> names;
    for (int r = 0; r < rounds; r++) {
        for (auto &s : shapes) x = s->step(x);
        for (int i = 0; i < 3000; i++) x = functions[(x >> 7) % 3](x);
        std::vector<uint64_t> values;
        for (int i = 0; i < 1000; i++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; values.push_back(x); }
        std::sort(values.begin(), values.end(), [r](uint64_t a, uint64_t b) { return (a ^ r) < (b ^ r); });
        for (int i = 0; i < 200; i++) names["name" + std::to_string(values[i] % 500)] += i;
        x += values[500];
    }
    for (auto &[name, count] : names) x = x * 31 + count;
    printf("%016llx\n", (unsigned long long)x);
}

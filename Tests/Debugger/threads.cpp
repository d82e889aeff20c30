// A program to debug: threads, floating point, a handler, memory that changes.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>
#include <unistd.h>
#include <vector>

volatile int watched = 0;
volatile int other = 4;
char buffer[16];
std::atomic<int> started{0};
std::atomic<long> total{0};
volatile bool go = false;

int add(int a, int b) {
    int sum = a + b;
    return sum;
}

double scale(double x) { return x * 2.5; }

struct Point { int x, y; };

void inner(Point &point) { point.x = add(point.x, 1); }

void handler(int) { total += 1000; }

void worker(int n) {
    started++;
    while (!go) usleep(1000);
    for (int i = 0; i < 100; i++) total += add(n, i) >= 0;
}

void all_started() {}

int main() {
    std::signal(SIGUSR1, handler);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) threads.emplace_back(worker, i);
    while (started < 3) usleep(1000);
    all_started();
    go = true;
    for (auto &thread : threads) thread.join();
    watched = 1;
    watched = other;
    int pipes[2];
    if (pipe(pipes) != 0 || write(pipes[1], "by kernel", 10) != 10) return 1;
    if (read(pipes[0], buffer, 10) != 10) return 1;
    Point point{1, 2};
    inner(point);
    raise(SIGUSR1);
    std::printf("total %ld point %d scale %g buffer %s\n", total.load(), point.x, scale(2), buffer);
    return 3;
}

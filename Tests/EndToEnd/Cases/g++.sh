# slow
# seconds: 300
# The guest's own g++: exceptions through frames and libraries, threads, futures, iostreams, virtual calls, RTTI.
set -eu
cat > main.cpp <<'EOF'
#include <iostream>
#include <vector>
#include <map>
#include <thread>
#include <future>
#include <mutex>
#include <condition_variable>
#include <memory>
#include <stdexcept>
#include <algorithm>
#include <numeric>
#include <string>
#include <regex>
#include <sstream>
#include <iomanip>
#include <chrono>
#include <optional>
#include <atomic>
void thrower(int);
struct Guard { int &n; ~Guard() { ++n; } };
struct Shape { virtual ~Shape() = default; virtual double area() const = 0; };
struct Square : Shape { double s; Square(double s) : s(s) {} double area() const override { return s * s; } };
struct Circle : virtual Shape { double r; Circle(double r) : r(r) {} double area() const override { return 3 * r * r; } };
static int unwound; static int dive(int n) { Guard g{unwound}; if (n == 0) thrower(2); return dive(n - 1) + 1; }
int main() {
  try { dive(50); } catch (const std::out_of_range &e) { std::cout << "caught " << e.what() << ", unwound " << unwound << "\n"; }
  try { try { thrower(1); } catch (...) { std::throw_with_nested(std::logic_error("outer")); } } catch (const std::exception &e) { try { std::rethrow_if_nested(e); } catch (int i) { std::cout << e.what() << " over " << i << "\n"; } }
  long n = 0; for (int i = 0; i < 3000; i++) try { thrower(i % 3); } catch (int) { n += 1; } catch (const std::exception &) { n += 100; } std::cout << n << " thrown\n";
  std::vector<std::future<long>> f; for (int i = 0; i < 4; i++) f.push_back(std::async(std::launch::async, [i] { std::vector<int> v(20000); std::iota(v.begin(), v.end(), i); std::sort(v.begin(), v.end(), std::greater<>()); return std::accumulate(v.begin(), v.end(), 0L); })); long s = 0; for (auto &x : f) s += x.get(); std::cout << "futures " << s << "\n";
  auto failed = std::async(std::launch::async, [] { thrower(1); }); try { failed.get(); } catch (int i) { std::cout << "across threads " << i << "\n"; }
  std::mutex m; std::condition_variable c; int turn = 0; std::string order; auto play = [&](int me) { for (int i = 0; i < 50; i++) { std::unique_lock l(m); c.wait(l, [&] { return turn % 2 == me; }); order += char('a' + me); turn++; c.notify_all(); } }; std::thread a(play, 0), b(play, 1); a.join(); b.join(); std::cout << order.substr(0, 10) << order.size() << "\n";
  std::vector<std::unique_ptr<Shape>> shapes; for (int i = 0; i < 10; i++) if (i % 2) shapes.emplace_back(new Square(i)); else shapes.emplace_back(new Circle(i)); double t = 0; for (auto &p : shapes) { t += p->area(); if (dynamic_cast<Circle *>(p.get())) t += 0.5; } std::cout << std::fixed << std::setprecision(3) << t << "\n";
  std::map<std::string, int> words; std::istringstream in("a b a c b a"); for (std::string w; in >> w;) words[w]++; for (auto &[k, v] : words) std::cout << k << v << " "; std::cout << std::regex_replace(std::string("x1y22"), std::regex("[0-9]+"), "#") << "\n"; std::atomic<long> k{0}; std::vector<std::thread> ts; for (int i = 0; i < 4; i++) ts.emplace_back([&] { for (int j = 0; j < 10000; j++) k.fetch_add(1, std::memory_order_relaxed); }); for (auto &x : ts) x.join(); std::cout << k << "\n"; }
EOF
cat > thrower.cpp <<'EOF'
#include <stdexcept>
void thrower(int k) { if (k == 1) throw 42; if (k == 2) throw std::out_of_range("out of range"); }
EOF
g++ -O2 -shared -fPIC thrower.cpp -o libthrower.so; g++ -std=c++20 -O1 main.cpp -L. -lthrower -o dynamic -Wl,-rpath,.; ./dynamic
g++ -std=c++20 -O0 -static main.cpp thrower.cpp -o static; ./static | md5sum; ./dynamic | md5sum

# Ruby: threads, fibers, ractors, collection, exceptions, subprocesses, signals.
require 'digest'
def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)
raise 'fib' unless fib(22) == 17711
q = Queue.new; total = 0; lock = Mutex.new
ts = 8.times.map { |t| Thread.new { 500.times { |i| q << i; lock.synchronize { total += i } } } }
ts.each(&:join)
raise 'threads' unless q.size == 4000 && total == 8 * 124750
f = Fiber.new { 1000.times { |i| Fiber.yield i * i }; nil }
raise 'fibers' unless (0...1000).all? { |i| f.resume == i * i }
c = 0; 5000.times { |i| begin; Integer("x#{i}"); rescue ArgumentError; c += 1; end }
raise 'exceptions' unless c == 5000
h = Hash.new { |x, k| x[k] = k.to_s * 10 }; 50000.times { |i| h[i % 1999] ; "a#{i}" }; GC.start; GC.compact rescue nil
raise 'hash' unless h.size == 1999
def deep(n) = deep(n + 1)
begin; deep(0); raise 'depth'; rescue SystemStackError; end
raise 'sha' unless Digest::SHA256.hexdigest('abc')[0, 8] == 'ba7816bf'
raise 'big' unless (2**2000).to_s.size == 603
hits = 0; trap('USR1') { hits += 1 }; 20.times { |i| Process.kill('USR1', $$); sleep 0.001 while hits <= i }
raise 'child' unless `echo child` == "child\n"
pid = fork { exit! 7 }; Process.wait pid; raise 'fork' unless $?.exitstatus == 7
puts 'ok'

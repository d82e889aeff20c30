# A few lines each for PyPy, LuaJIT, Ruby, PHP, SBCL and Guile.
# tree: managed
cat > t.py <<'X'
def f(n): return n if n < 2 else f(n - 1) + f(n - 2)
print(f(22), sum(i * 0.5 for i in range(100000)), 7 ** 77 % 1000003, sorted({3: 1, 1: 2}))
X
pypy3 t.py
luajit -e 'local s = 0 for i = 1, 1e6 do s = s + i % 7 end print(s, bit.bxor(5, 3), #string.rep("ab", 1000)) local ffi = require "ffi" ffi.cdef "int abs(int);" print(ffi.C.abs(-9))'
ruby -e 'puts (1..20).reduce(:*), [3, 1, 2].sort.inspect, Thread.new { 6 * 7 }.value, "a-b".tr("-", "+"), (begin; nil.x; rescue NoMethodError => e; e.class; end)'
php -r 'echo array_sum(array_map(fn($x) => $x ** 2, range(1, 1000))), " ", preg_replace("/(\w+) (\w+)/", "$2 $1", "hello world"), " ", json_encode(["a" => 1.5]), "\n";'
cat > t.lisp <<'X'
(defun f (n) (declare (fixnum n)) (if (< n 2) n (+ (f (- n 1)) (f (- n 2)))))
(format t "~a ~a ~a~%" (f 22) (funcall (compile nil '(lambda (x) (* x x))) 12) (expt 3 50))
(handler-case (error "no") (error (e) (format t "~a ~a~%" e (/ 6 4))))
X
sbcl --script t.lisp
guile-3.0 --no-auto-compile -c '(define (f n) (if (< n 2) n (+ (f (- n 1)) (f (- n 2))))) (display (list (f 20) (call/cc (lambda (k) (+ 1 (k 41)))) (expt 2 70) (map 1+ (iota 3)))) (newline)'

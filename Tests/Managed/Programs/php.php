<?php // PHP: its interpreter, collection of cycles, generators, exceptions, regular expressions (with their compiler), fibers.
function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }
function check($ok, $what) { if (!$ok) { echo "wrong: $what\n"; exit(1); } }
check(fib(23) == 28657, 'fib');
class Node { public $other; public $load; function __construct() { $this->load = str_repeat('x', 100); } }
for ($i = 0; $i < 50000; $i++) { $a = new Node; $b = new Node; $a->other = $b; $b->other = $a; } gc_collect_cycles();
function gen($n) { for ($i = 0; $i < $n; $i++) yield $i => $i * $i; }
$s = 0; foreach (gen(50000) as $v) $s += $v; check($s == 41665416675000, 'generators');
$c = 0; for ($i = 0; $i < 5000; $i++) try { intdiv($i, 0); } catch (DivisionByZeroError $e) { $c++; } check($c == 5000, 'exceptions');
$n = 0; for ($i = 0; $i < 3000; $i++) $n += preg_match('/^(\w+)-(\d+)(?:-(x|y)+)?$/', "word-$i-xyx", $m); check($n == 3000 && $m[2] == '2999', 'patterns');
$f = new Fiber(function () { $x = 0; while (true) $x += Fiber::suspend($x); }); $f->start(); for ($i = 0; $i < 2000; $i++) $r = $f->resume($i); check($r == 1999000, 'fibers');
check(hash('sha256', 'abc') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 'sha256');
$a = range(1, 20000); shuffle($a); sort($a); check($a[0] == 1 && $a[19999] == 20000, 'sort');
check(json_encode(json_decode('{"a":[1,2.5,"x",null,true]}', true)) == '{"a":[1,2.5,"x",null,true]}', 'json');
check(trim(shell_exec('echo child')) == 'child', 'child');
echo "ok\n";

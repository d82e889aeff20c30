// Go: goroutines on many threads, channels, collection, preemption of loops by SIGURG, nil faults, signals, subprocesses.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type node struct {
	left, right *node
	load        [6]int
}

func tree(d int) *node {
	if d == 0 {
		return &node{}
	}
	return &node{left: tree(d - 1), right: tree(d - 1)}
}
func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}
func fault(n *node) (caught bool) {
	defer func() { caught = recover() != nil }()
	return n.load[3] == 1
}
func check(b bool, what string) {
	if !b {
		fmt.Println("wrong:", what)
		os.Exit(1)
	}
}

func main() {
	runtime.GOMAXPROCS(4)
	var wg sync.WaitGroup
	var total atomic.Int64
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); for j := 0; j < 4; j++ { total.Add(int64(tree(12).count())) } }()
	}
	wg.Wait()
	check(total.Load() == 8*4*8191, "trees")

	var stop atomic.Bool // loops without calls: only a signal can stop them for the collector
	for i := 0; i < 3; i++ {
		go func() { for x := 0; !stop.Load(); x++ { } }()
	}
	for i := 0; i < 20; i++ {
		runtime.GC()
	}
	stop.Store(true)

	in, out := make(chan int), make(chan int)
	for i := 0; i < 100; i++ {
		go func() { for v := range in { out <- v * v } }()
	}
	go func() { for i := 0; i < 5000; i++ { in <- i }; close(in) }()
	sum := 0
	for i := 0; i < 5000; i++ {
		sum += <-out
	}
	check(sum == 41654167500, "channels")

	for i := 0; i < 1000; i++ {
		check(fault(nil), "nil fault")
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGUSR1)
	for i := 0; i < 50; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-signals
	}
	for i := 0; i < 5; i++ {
		text, err := exec.Command("/bin/echo", "child").Output()
		check(err == nil && string(text) == "child\n", "child")
	}
	timer := time.After(20 * time.Millisecond)
	ticks := time.NewTicker(time.Millisecond)
	n := 0
	for done := false; !done; {
		select {
		case <-ticks.C:
			n++
		case <-timer:
			done = true
		}
	}
	check(n > 0, "ticks")
	var m sync.Map
	for i := 0; i < 1000; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); m.Store(i%10, i); runtime.Gosched() }()
	}
	wg.Wait()
	fmt.Println("ok")
}

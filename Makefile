# The front door. Each verb says what it does; the work is in Scripts/, Tests/ and Benchmarks/.
#   make run      builds Apus, makes a Debian riscv64 disk in the cache, and boots it to a shell in this terminal
#   make programs builds Apus, fetches a small Debian riscv64 root into the cache, and runs programs from it
#   make build    .build/release/apus
#   make test     all tests: unit, golden, differential, end to end   (what .ci/run calls)
#   make check    the same without fetching anything: only the Swift tests
#   make bench    user CPU time of many workloads: native, QEMU 10, Apus
#   make stress   a thousand runs of thread, signal and fork programs   (RUNS=n)
#   make stress-managed   fifty runs of programs for fourteen run-time systems: Node.js, Java, Go, …   (RUNS=n)
#   make static   .build-static/release/apus: one fully static executable
#   make clean    removes what was built; make distclean also what was fetched
.PHONY: run programs build test check bench stress stress-managed static clean distclean

run:
	@Scripts/install-packages.sh machine
	@Scripts/build.sh
	@Scripts/show-machine.sh

programs:
	@Scripts/install-packages.sh run
	@Scripts/build.sh
	@Scripts/show-programs.sh

build:
	@Scripts/install-packages.sh build
	@Scripts/build.sh

test:
	@Scripts/test.sh

check:
	swift build -c release --build-tests
	swift test -c release --skip-build

bench:
	@Scripts/install-packages.sh bench
	@Scripts/build.sh
	@Benchmarks/run.sh

stress:
	@Scripts/install-packages.sh test
	@Scripts/build.sh
	@Tests/Stress/run.sh $(or $(RUNS),1000)

stress-managed:
	@Scripts/install-packages.sh test
	@Scripts/build.sh
	@Tests/Managed/run.sh $(or $(RUNS),50)

static:
	@Scripts/install-packages.sh build
	@Scripts/build.sh static

clean:
	rm -rf .build .build-static

distclean: clean
	rm -rf "$${APUS_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/apus}"

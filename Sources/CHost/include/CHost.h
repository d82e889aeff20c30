// The only C of Apus: what Swift cannot import or express. Guarded accesses to memory that may not be there, the
// registers of an interrupted context, system calls that a signal cannot slip past, and per-thread slots that signal
// handlers may read.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "HostNumbers.h"

// MARK: Guarded memory access (Guarded.c)
// A fault inside any of these is recognised by its host program counter and turned into a failure result; what
// happened stands in apus_last_fault_get().

/// Details of the last recovered fault of this thread.
struct apus_fault {
    uint64_t address;
    int32_t signal;
    int32_t code;
};
const struct apus_fault *apus_last_fault_get(void);
void apus_last_fault_set(uint64_t address, int signal, int code);

/// Loads 1, 2, 4 or 8 bytes, zero-extended; *failed becomes 1 on a fault, else 0.
uint64_t apus_guarded_load(const void *address, int bytes, int *failed);
/// Stores the low 1, 2, 4 or 8 bytes. Not 0 on a fault.
int apus_guarded_store(void *address, uint64_t value, int bytes);
/// Copies upwards byte by byte; returns how many bytes were copied before a fault.
size_t apus_guarded_copy(void *destination, const void *source, size_t count);
/// The length without NUL of the string, `maximum` if none is found in that many bytes, (size_t)-1 on a fault.
size_t apus_guarded_string(const char *string, size_t maximum);
/// Atomically replaces *address by desired if it equals *expected; *expected becomes the old value. Not 0 on a fault.
int apus_guarded_cas(void *address, uint64_t *expected, uint64_t desired, int bytes);
/// The same on 16 aligned bytes: expected points to two words, low first.
int apus_guarded_cas16(void *address, uint64_t *expected, uint64_t low, uint64_t high);
/// Atomically applies operation (0 swap, add, and, or, xor, minS, maxS, minU, 8 maxU); *old becomes the old value,
/// zero-extended. Not 0 on a fault.
int apus_guarded_rmw(void *address, int operation, uint64_t operand, int bytes, uint64_t *old);
/// If pc lies in one of the accesses above, the address to go on at; else 0. Async-signal-safe.
uint64_t apus_guarded_fixup(uint64_t pc);

// MARK: The interrupted context of a signal handler (Context.c); uc is its third argument

uint64_t apus_uc_pc(const void *uc);
void apus_uc_set_pc(void *uc, uint64_t pc);
/// General register by its hardware number (x86-64: rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7, r8 …).
uint64_t apus_uc_gpr(const void *uc, int number);
void apus_uc_set_gpr(void *uc, int number, uint64_t value);
uint64_t apus_uc_flags(const void *uc);
void apus_uc_set_flags(void *uc, uint64_t flags);
/// 16 bytes of a vector register, or NULL.
void *apus_uc_xmm(void *uc, int number);
uint32_t apus_uc_mxcsr(const void *uc);
void apus_uc_set_mxcsr(void *uc, uint32_t value);
/// The signal mask that holds again when the handler returns, bit n-1 for signal n.
uint64_t apus_uc_mask(const void *uc);
void apus_uc_set_mask(void *uc, uint64_t mask);
/// Fields of a siginfo_t.
int apus_si_code(const void *info);
uint64_t apus_si_address(const void *info);

// MARK: System calls (SystemCall.c)

/// Results of apus_safe_syscall beside those of the kernel.
enum {
    /// The kernel was entered, a signal came, and the call may be restarted.
    APUS_RESTART = -512,
    /// *pending was set before the kernel was entered: nothing has happened.
    APUS_NOT_ENTERED = -513,
};
/// A system call that does not begin once *pending is not 0: a signal handler that sets *pending and calls
/// apus_safe_syscall_rewind cannot come too early to interrupt it. Raw result: negated errno, or as above.
long apus_safe_syscall(volatile int32_t *pending, long number, long a, long b, long c, long d, long e, long f);
/// Called by handlers of asynchronous signals: leaves a safe system call that has not begun or is to be restarted.
void apus_safe_syscall_rewind(void *uc);
/// A plain system call; raw result.
long apus_syscall(long number, long a, long b, long c, long d, long e, long f);

typedef void (*apus_signal_handler)(int signal, void *info, void *uc);
/// Installs a handler by the raw system call, also for the signals that the C library keeps for itself.
/// handler: a function, or 0 (default) or 1 (ignore) as an address. Raw result.
long apus_signal_action(int signal, apus_signal_handler handler, uint64_t flags, uint64_t mask);
long apus_signal_action_special(int signal, long disposition, uint64_t flags);
/// The current handler address, and its flags and mask.
long apus_signal_query(int signal, uint64_t *handler, uint64_t *flags, uint64_t *mask);
/// Raw rt_sigprocmask: how 0 block, 1 unblock, 2 set.
long apus_signal_mask(int how, uint64_t mask, uint64_t *old);

/// vfork in its true form: a child that shares this process's memory runs function(argument) on the given stack while
/// the calling thread sleeps until the child executes a program or exits. Returns the child's id or negated errno.
long apus_vfork(uint64_t flags, void *stack_top, void (*function)(void *), void *argument, int32_t *parent_tid,
                int32_t *child_tid);
/// clone without a new stack: returns twice, like fork, without telling the C library.
long apus_fork(uint64_t flags, int32_t *parent_tid, int32_t *child_tid);

// MARK: Atomic access to raw memory, for cells shared with signal handlers and other threads

static inline int32_t apus_atomic_load_i32(const int32_t *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
static inline void apus_atomic_store_i32(int32_t *cell, int32_t value) { __atomic_store_n(cell, value, __ATOMIC_RELEASE); }
static inline int32_t apus_atomic_exchange_i32(int32_t *cell, int32_t value) {
    return __atomic_exchange_n(cell, value, __ATOMIC_ACQ_REL);
}
static inline uint32_t apus_atomic_or_u32(uint32_t *cell, uint32_t bits) {
    return __atomic_fetch_or(cell, bits, __ATOMIC_ACQ_REL);
}
static inline uint32_t apus_atomic_and_u32(uint32_t *cell, uint32_t bits) {
    return __atomic_fetch_and(cell, bits, __ATOMIC_ACQ_REL);
}

static inline uint8_t apus_atomic_load_u8(const uint8_t *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
static inline uint8_t apus_atomic_or_u8(uint8_t *cell, uint8_t bits) { return __atomic_fetch_or(cell, bits, __ATOMIC_SEQ_CST); }
static inline uint8_t apus_atomic_and_u8(uint8_t *cell, uint8_t bits) { return __atomic_fetch_and(cell, bits, __ATOMIC_SEQ_CST); }
/// Rings in guest memory: indices that the other side reads and writes at any time.
static inline uint16_t apus_atomic_load_u16(const uint16_t *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
static inline void apus_atomic_store_u16(uint16_t *cell, uint16_t value) { __atomic_store_n(cell, value, __ATOMIC_RELEASE); }
/// Orders everything before against everything after, stores before loads included.
static inline void apus_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void apus_atomic_add_u64(uint64_t *cell, uint64_t value) { __atomic_fetch_add(cell, value, __ATOMIC_RELAXED); }
static inline uint64_t apus_atomic_load_u64(const uint64_t *cell) { return __atomic_load_n(cell, __ATOMIC_RELAXED); }
static inline void apus_full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// MARK: Threads (Thread.c)

/// Thread-local slots: 0 the current GuestThread, 1 the state pointer of the running VCPU, 2 the X64 engine's own,
/// 3 the SignalInbox of the current GuestThread; 4 to 7 free.
void *apus_thread_get(int slot);
void apus_thread_set(int slot, void *value);

/// Starts a detached host thread with a stack of the given size. 0, or an errno.
int apus_thread_start(void *(*function)(void *), void *argument, size_t stack);
// The kernel's number of the calling thread.
int apus_thread_number(void);

// MARK: Waiting for descriptors (Events.c)

struct apus_event {
    uint64_t number;
    uint32_t ready;
};
/// Bits of what a descriptor is waited for, or ready for.
enum { APUS_READ = 1, APUS_WRITE = 2, APUS_HANG_UP = 4 };
/// A descriptor for the calls below; negated errno.
int apus_events_open(void);
/// operation: 0 add, 1 change, 2 remove. 0 or negated errno.
int apus_events_control(int events, int operation, int descriptor, uint32_t wanted, uint64_t number);
/// Waits for at most `nanoseconds` (negative: without end). How many events there are, at most 64; negated errno.
int apus_events_wait(int events, struct apus_event *out, int64_t nanoseconds);
/// A counter that wakes (eventfd(2)), not blocking; negated errno.
int apus_wake_open(void);

// MARK: Requests to files by the kernel's asynchronous interfaces (HostIO.c)

struct iovec;
struct apus_io_channel;
enum { APUS_IO_NATIVE = 1, APUS_IO_URING = 2 };
/// A channel for one request at a time; NULL if the kernel refuses.
struct apus_io_channel *apus_io_open(int kind);
void apus_io_close(struct apus_io_channel *channel);
/// As preadv(2) and pwritev(2): bytes, or negated errno. Returns when the request is over.
long apus_io_transfer(struct apus_io_channel *channel, int descriptor, int writes, const struct iovec *pieces, int count, int64_t offset);
/// As fdatasync(2): 0 or negated errno.
long apus_io_flush(struct apus_io_channel *channel, int descriptor);

// MARK: Before main (Start.c)

/// Takes back what was put into the environment for the Swift runtime's start. Called first of all in main.
void apus_start_finish(void);
/// The process's arguments as the kernel gave them; NULL beyond them.
int apus_argument_count(void);
const char *apus_argument(int index);

// MARK: The host CPU (CPU.c)

/// CPUID: registers becomes eax, ebx, ecx, edx. 0, with zeros, if there is no such leaf.
int apus_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *registers);
/// An extended control register. Only if CPUID says OSXSAVE.
uint64_t apus_xgetbv(uint32_t index);

// MARK: http and https (HTTP.c)

/// What a connection is made with. Strings may be NULL but for the URL.
struct apus_http_options {
    const char *url;
    const char *cookie;
    /// `name:password`
    const char *user;
    /// Seconds.
    long timeout;
    int verify;
};
enum { APUS_HTTP_TEXT = 256 };
/// Why http cannot be used here, or NULL. Loads libcurl the first time.
const char *apus_http_problem(void);
/// A connection, for one thread at a time; NULL if there is none.
void *apus_http_open(const struct apus_http_options *options);
void apus_http_close(void *handle);
/// Length of the resource (-1 if the server does not say) and whether ranges of bytes can be asked for. Not 0 on failure;
/// text (APUS_HTTP_TEXT bytes) says why, status is the server's.
int apus_http_length(void *handle, int64_t *length, int *ranges, char *text, long *status);
/// Reads count (> 0) bytes; *received may be fewer.
int apus_http_read(void *handle, uint64_t offset, void *buffer, size_t count, size_t *received, char *text, long *status);

// MARK: The heap (Heap.c)
/// If the address space is limited: keeps `bytes` of it for malloc. Pages are touched only when they are used.
void apus_reserve_heap(size_t bytes);

// MARK: TLS (TLS.c)

enum { APUS_TLS_TEXT = 256, APUS_TLS_X509 = 0, APUS_TLS_PSK = 1, APUS_TLS_ANONYMOUS = 2, APUS_TLS_AGAIN = -1, APUS_TLS_BROKEN = -2 };
/// What credentials are made of; paths of PEM files. Strings may be NULL where they do not apply.
struct apus_tls_options {
    /// APUS_TLS_X509, APUS_TLS_PSK or APUS_TLS_ANONYMOUS.
    int kind;
    int server;
    const char *ca;
    const char *crl;
    const char *certificate;
    /// The certificate's key; for a server with keys of its users, the file of them.
    const char *key;
    /// The password of `key`; for a client with a key, that key in hexadecimal.
    const char *password;
    /// A client's name.
    const char *user;
};
/// Why TLS cannot be used here, or NULL. Loads GnuTLS the first time.
const char *apus_tls_problem(void);
/// NULL on failure; text (APUS_TLS_TEXT bytes) says why.
void *apus_tls_credentials(const struct apus_tls_options *options, char *text);
void apus_tls_credentials_free(void *credentials);
/// A session on a descriptor in non-blocking mode, its handshake done, within so many seconds. NULL on failure.
/// host: the name that the server's certificate must have. verify: the client must show a certificate.
void *apus_tls_session(void *credentials, int descriptor, const char *priority, const char *host, int verify, double seconds, char *text);
/// Bytes received or sent, 0 at the end, APUS_TLS_AGAIN (wait for the descriptor), APUS_TLS_BROKEN. One call at a time.
long apus_tls_receive(void *session, void *buffer, size_t count);
long apus_tls_send(void *session, const void *buffer, size_t count);
/// After APUS_TLS_AGAIN: whether to wait for room instead of data.
int apus_tls_wants_write(void *session);
void apus_tls_goodbye(void *session);
void apus_tls_close(void *session);

// MARK: Processes (Process.c)
/// fork, for a process that has no second thread yet: 0 in the child, its id in the parent, or -1.
int apus_process_fork(void);

// Requests to files by the kernel's two asynchronous interfaces: io_uring(7), and Linux AIO (io_submit(2)), by raw system
// calls. A channel carries one request at a time: whoever has a request takes a channel, starts it and waits for its end.

#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "CHost.h"

struct apus_io_channel {
    int kind;
    // io_uring
    int ring;
    uint8_t *rings;
    size_t rings_size;
    struct io_uring_sqe *entries;
    size_t entries_size;
    struct io_uring_params parameters;
    // Linux AIO
    aio_context_t context;
};

void apus_io_close(struct apus_io_channel *channel) {
    if (channel->entries) munmap(channel->entries, channel->entries_size);
    if (channel->rings) munmap(channel->rings, channel->rings_size);
    if (channel->ring >= 0) close(channel->ring);
    if (channel->context) syscall(SYS_io_destroy, channel->context);
    free(channel);
}

struct apus_io_channel *apus_io_open(int kind) {
    struct apus_io_channel *channel = calloc(1, sizeof *channel);
    if (!channel) return NULL;
    channel->kind = kind;
    channel->ring = -1;
    if (kind == APUS_IO_NATIVE) {
        if (syscall(SYS_io_setup, 1, &channel->context) == 0) return channel;
        apus_io_close(channel);
        return NULL;
    }
    struct io_uring_params *p = &channel->parameters;
    channel->ring = (int)syscall(SYS_io_uring_setup, 2, p);
    // Kernels whose two rings are not one mapping are older than 5.4.
    if (channel->ring < 0 || !(p->features & IORING_FEAT_SINGLE_MMAP)) { apus_io_close(channel); return NULL; }
    size_t submission = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t completion = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    channel->rings_size = submission > completion ? submission : completion;
    void *rings = mmap(NULL, channel->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, channel->ring, IORING_OFF_SQ_RING);
    if (rings == MAP_FAILED) { apus_io_close(channel); return NULL; }
    channel->rings = rings;
    channel->entries_size = p->sq_entries * sizeof(struct io_uring_sqe);
    void *entries = mmap(NULL, channel->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, channel->ring, IORING_OFF_SQES);
    if (entries == MAP_FAILED) { apus_io_close(channel); return NULL; }
    channel->entries = entries;
    return channel;
}

static long ring_request(struct apus_io_channel *channel, const struct io_uring_sqe *request) {
    const struct io_uring_params *p = &channel->parameters;
    uint32_t *tail = (uint32_t *)(channel->rings + p->sq_off.tail);
    uint32_t *head = (uint32_t *)(channel->rings + p->cq_off.head), *end = (uint32_t *)(channel->rings + p->cq_off.tail);
    uint32_t at = *tail, slot = at & *(uint32_t *)(channel->rings + p->sq_off.ring_mask);
    channel->entries[slot] = *request;
    ((uint32_t *)(channel->rings + p->sq_off.array))[slot] = slot;
    __atomic_store_n(tail, at + 1, __ATOMIC_RELEASE);
    unsigned waiting = 1;
    while (__atomic_load_n(end, __ATOMIC_ACQUIRE) == *head) {
        long result = syscall(SYS_io_uring_enter, channel->ring, waiting, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        if (result > 0) waiting = 0;
        if (result < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY && waiting) {
            // The kernel has not seen it: taken back.
            int problem = errno;
            __atomic_store_n(tail, at, __ATOMIC_RELEASE);
            return -problem;
        }
    }
    struct io_uring_cqe *events = (struct io_uring_cqe *)(channel->rings + p->cq_off.cqes);
    long result = events[*head & *(uint32_t *)(channel->rings + p->cq_off.ring_mask)].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

static long native_request(struct apus_io_channel *channel, struct iocb *request) {
    struct iocb *list = request;
    while (syscall(SYS_io_submit, channel->context, 1, &list) < 0) {
        if (errno != EAGAIN && errno != EINTR) return -errno;
    }
    struct io_event event;
    // The memory is the kernel's until the event has come.
    while (syscall(SYS_io_getevents, channel->context, 1, 1, &event, NULL) < 1) {}
    return (long)event.res;
}

long apus_io_transfer(struct apus_io_channel *channel, int descriptor, int writes, const struct iovec *pieces, int count, int64_t offset) {
    if (channel->kind == APUS_IO_NATIVE) {
        struct iocb request;
        memset(&request, 0, sizeof request);
        request.aio_lio_opcode = writes ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV;
        request.aio_fildes = (uint32_t)descriptor;
        request.aio_buf = (uint64_t)(uintptr_t)pieces;
        request.aio_nbytes = (uint64_t)count;
        request.aio_offset = offset;
        return native_request(channel, &request);
    }
    struct io_uring_sqe request;
    memset(&request, 0, sizeof request);
    request.opcode = writes ? IORING_OP_WRITEV : IORING_OP_READV;
    request.fd = descriptor;
    request.addr = (uint64_t)(uintptr_t)pieces;
    request.len = (uint32_t)count;
    request.off = (uint64_t)offset;
    return ring_request(channel, &request);
}

long apus_io_flush(struct apus_io_channel *channel, int descriptor) {
    if (channel->kind == APUS_IO_NATIVE) {
        struct iocb request;
        memset(&request, 0, sizeof request);
        request.aio_lio_opcode = IOCB_CMD_FDSYNC;
        request.aio_fildes = (uint32_t)descriptor;
        return native_request(channel, &request);
    }
    struct io_uring_sqe request;
    memset(&request, 0, sizeof request);
    request.opcode = IORING_OP_FSYNC;
    request.fd = descriptor;
    request.fsync_flags = IORING_FSYNC_DATASYNC;
    return ring_request(channel, &request);
}

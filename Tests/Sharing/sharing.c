// A guest's program of the sharing tests, linked statically: extended attributes and vsock, which busybox has no commands for.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int fail(const char *what) { printf("FAIL %s: %s\n", what, strerror(errno)); return 1; }

static int attributes(const char *path) {
    static char big[8000], text[70000];
    for (size_t at = 0; at < sizeof big; at++) big[at] = (char)(at * 7);
    if (setxattr(path, "user.colour", "green", 5, XATTR_CREATE)) return fail("setxattr");
    if (!setxattr(path, "user.colour", "red", 3, XATTR_CREATE) || errno != EEXIST) return fail("XATTR_CREATE of one that is there");
    if (setxattr(path, "user.colour", "blue", 4, 0) || setxattr(path, "user.big", big, 1000, 0)) return fail("setxattr again");
    ssize_t count = getxattr(path, "user.colour", text, sizeof text);
    if (count != 4 || memcmp(text, "blue", 4)) return fail("getxattr");
    if (getxattr(path, "user.big", text, sizeof text) != 1000 || memcmp(text, big, 1000)) return fail("getxattr of 1000 bytes");
    if (getxattr(path, "user.none", text, sizeof text) >= 0 || errno != ENODATA) return fail("getxattr of none");
    int found = 0, hidden = 0;
    count = listxattr(path, text, sizeof text);
    for (ssize_t at = 0; at < count; at += strlen(text + at) + 1) {
        if (!strcmp(text + at, "user.colour") || !strcmp(text + at, "user.big")) found++;
        if (strstr(text + at, "virtfs")) hidden++;
    }
    if (found != 2 || hidden) return fail("listxattr");
    if (removexattr(path, "user.big") || getxattr(path, "user.big", text, sizeof text) >= 0) return fail("removexattr");
    printf("XATTR ok\n");
    return 0;
}

// Bytes that either side can make again: a multiplicative generator.
static uint64_t next(uint64_t *state) { *state = *state * 6364136223846793005ull + 1442695040888963407ull; return *state >> 33; }
static void fill(uint32_t *words, size_t count, uint64_t *state) { for (size_t at = 0; at < count; at++) words[at] = (uint32_t)next(state); }

static uint64_t hash(uint64_t value, const unsigned char *bytes, size_t count) {
    for (size_t at = 0; at < count; at++) value = (value ^ bytes[at]) * 1099511628211ull;
    return value;
}

// Both ways at once: a child sends `mebibytes`, the parent receives until the other side ends.
static int exchange(int socket, int mebibytes) {
    static uint32_t words[65536 / 4];
    static unsigned char bytes[65536];
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        uint64_t state = 1, sum = 14695981039346656037ull;
        for (int round = 0; round < mebibytes * 16; round++) {
            fill(words, sizeof words / 4, &state);
            sum = hash(sum, (unsigned char *)words, sizeof words);
            for (size_t done = 0; done < sizeof words;) {
                ssize_t count = send(socket, (char *)words + done, sizeof words - done, MSG_NOSIGNAL);
                if (count <= 0) _exit(fail("send"));
                done += count;
            }
        }
        shutdown(socket, SHUT_WR);
        printf("SENT %d %016llx\n", mebibytes, (unsigned long long)sum);
        fflush(stdout);
        _exit(0);
    }
    uint64_t sum = 14695981039346656037ull, total = 0;
    ssize_t count;
    while ((count = recv(socket, bytes, sizeof bytes, 0)) > 0) sum = hash(sum, bytes, count), total += count;
    if (count < 0) return fail("recv");
    printf("GOT %llu %016llx\n", (unsigned long long)total, (unsigned long long)sum);
    int status = 1;
    waitpid(child, &status, 0);
    return status;
}

static int open_to(unsigned cid, unsigned port) {
    int descriptor = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    return connect(descriptor, (struct sockaddr *)&address, sizeof address) ? -1 : descriptor;
}

static int listen_on(unsigned port) {
    int descriptor = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
    return bind(descriptor, (struct sockaddr *)&address, sizeof address) || listen(descriptor, 64) ? -1 : descriptor;
}

int main(int count, char **words) {
    const char *verb = count > 1 ? words[1] : "";
    int number = count > 2 ? atoi(words[2]) : 0, size = count > 3 ? atoi(words[3]) : 0;
    if (!strcmp(verb, "xattr")) return attributes(words[2]);
    if (!strcmp(verb, "cid")) {
        unsigned cid = 0;
        int device = open("/dev/vsock", O_RDONLY);
        if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid)) return fail("/dev/vsock");
        printf("CID %u\n", cid);
        return 0;
    }
    if (!strcmp(verb, "connect")) {             // connect PORT MIB
        int peer = open_to(2, number);
        return peer < 0 ? fail("connect") : exchange(peer, size);
    }
    if (!strcmp(verb, "refused")) {             // refused PORT: nobody is there
        if (open_to(2, number) >= 0 || errno != ECONNRESET) return fail("a connection to nobody");
        printf("REFUSED ok\n");
        return 0;
    }
    if (!strcmp(verb, "serve")) {               // serve PORT MIB: one connection
        int place = listen_on(number);
        if (place < 0) return fail("listen");
        printf("LISTENING %d\n", number);
        fflush(stdout);
        int peer = accept(place, 0, 0);
        return peer < 0 ? fail("accept") : exchange(peer, size);
    }
    if (!strcmp(verb, "echo")) {                // echo PORT CONNECTIONS: gives back what comes until its end
        int place = listen_on(number);
        if (place < 0) return fail("listen");
        printf("LISTENING %d\n", number);
        fflush(stdout);
        long long total = 0;
        for (int round = 0; round < size; round++) {
            int peer = accept(place, 0, 0);
            char bytes[4096];
            ssize_t got;
            while ((got = recv(peer, bytes, sizeof bytes, 0)) > 0) { total += got; if (send(peer, bytes, got, MSG_NOSIGNAL) != got) break; }
            close(peer);
        }
        printf("ECHOED %d %lld\n", size, total);
        return 0;
    }
    if (!strcmp(verb, "killed")) {              // killed PORT: the host goes away while we send
        int peer = open_to(2, number);
        static char bytes[65536];
        if (peer < 0) return fail("connect");
        for (int round = 0; round < 4096; round++) if (send(peer, bytes, sizeof bytes, MSG_NOSIGNAL) < 0) { printf("KILLED %s\n", strerror(errno)); return 0; }
        printf("FAIL nobody told us\n");
        return 1;
    }
    return 2;
}

// Sockets, with messages of many parts and ancillary data.
#include "show.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <net/if.h>
#include <linux/filter.h>

static volatile int handled;
static void handler(int s) { handled = s; }

int main(void) {
    int p[2];
    char a[100], b[100];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p));
    SHOW(socketpair(AF_UNIX, 99, 0, p));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
    SHOW(send(p[0], "hello", 5, 0));
    SHOW(recv(p[1], a, 100, MSG_PEEK));
    SHOW(recv(p[1], a, 2, 0));
    SHOW(recv(p[1], a, 100, MSG_DONTWAIT));
    SHOW(recv(p[1], a, 100, MSG_DONTWAIT));

    // Descriptors and credentials
    int pipes[2];
    pipe(pipes);
    struct iovec v[2] = {{"abc", 3}, {"defg", 4}};
    union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int) * 2) + CMSG_SPACE(sizeof(struct ucred))]; } control;
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * 2)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET; c->cmsg_type = SCM_RIGHTS; c->cmsg_len = CMSG_LEN(sizeof(int) * 2);
    memcpy(CMSG_DATA(c), pipes, sizeof pipes);
    SHOW(sendmsg(p[0], &m, 0));
    int one = 1;
    SHOW(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    struct iovec w[2] = {{a, 2}, {b, 50}};
    m = (struct msghdr){.msg_iov = w, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    SHOW(recvmsg(p[1], &m, MSG_CMSG_CLOEXEC));
    printf("%.2s %.5s %x %zu\n", a, b, m.msg_flags, (size_t)m.msg_controllen);
    for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("level %d type %d length %zu\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_type == SCM_RIGHTS) {
            int got[2];
            memcpy(got, CMSG_DATA(c), sizeof got);
            SHOW(write(got[1], "through", 7));
            SHOW(read(pipes[0], a, 100));
            SHOW(fcntl(got[0], F_GETFD));
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred u;
            memcpy(&u, CMSG_DATA(c), sizeof u);
            printf("%d %d\n", u.pid == getpid(), u.uid == getuid());
        }
    }
    SHOW(sendmsg(p[0], BAD, 0));
    SHOW(recvmsg(p[1], BAD, 0));
    struct ucred u;
    socklen_t length = sizeof u;
    SHOW(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &u, &length));
    TRUE(u.pid == getpid());
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(recv(p[1], a, 100, 0));
    signal(SIGPIPE, SIG_IGN);
    SHOW(send(p[0], "x", 1, 0));
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));

    // TCP over the loopback interface
    int s = socket(AF_INET, SOCK_STREAM, 0), d;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(s, (struct sockaddr *)&in, sizeof in));
    SHOW(bind(s, BAD, sizeof in));
    SHOW(listen(s, 5));
    length = sizeof in;
    SHOW(getsockname(s, (struct sockaddr *)&in, &length));
    TRUE(in.sin_port != 0 && length == sizeof in);
    d = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(d, (struct sockaddr *)&in, sizeof in));
    struct sockaddr_in peer;
    length = sizeof peer;
    int e = accept4(s, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    TRUE(e > 0);
    printf("%s %u\n", inet_ntoa(peer.sin_addr), length);
    SHOW(fcntl(e, F_GETFL) & O_NONBLOCK);
    SHOW(recv(e, a, 10, 0));
    length = sizeof one;
    SHOW(setsockopt(d, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    one = 0;
    SHOW(getsockopt(d, IPPROTO_TCP, TCP_NODELAY, &one, &length));
    SHOW(one);
    SHOW(getsockopt(d, SOL_SOCKET, SO_TYPE, &one, &length)); SHOW(one);
    SHOW(getsockopt(d, SOL_SOCKET, SO_ERROR, &one, &length)); SHOW(one);
    SHOW(getsockopt(d, SOL_SOCKET, 9999, &one, &length));
    struct linger l = {1, 7};
    SHOW(setsockopt(d, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    length = sizeof l; l.l_linger = 0;
    SHOW(getsockopt(d, SOL_SOCKET, SO_LINGER, &l, &length)); SHOW(l.l_linger);
    struct timeval tv = {0, 20000};
    SHOW(setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    SHOW(recv(d, a, 10, 0));
    length = sizeof tv; tv.tv_usec = 0;
    SHOW(getsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, &length));
    TRUE(tv.tv_usec >= 20000);

    // A wait that signals end or do not
    struct sigaction sa = {.sa_handler = handler};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval alarm = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &alarm, NULL);
    SHOW(accept(s, NULL, NULL)); SHOW(handled);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    handled = 0;
    setitimer(ITIMER_REAL, &alarm, NULL);
    fflush(stdout);
    if (fork() == 0) {
        struct timespec t = {0, 100000000};
        nanosleep(&t, NULL);
        int f = socket(AF_INET, SOCK_STREAM, 0);
        connect(f, (struct sockaddr *)&in, sizeof in);
        _exit(0);
    }
    WORKS(accept(s, NULL, NULL)); SHOW(handled);

    // Datagrams: plural messages, addresses, timestamps
    int g = socket(AF_INET, SOCK_DGRAM, 0);
    in.sin_port = 0;
    SHOW(bind(g, (struct sockaddr *)&in, sizeof in));
    length = sizeof in;
    getsockname(g, (struct sockaddr *)&in, &length);
    one = 1;
    SHOW(setsockopt(g, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof one));
    int h = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(sendto(h, "one", 3, 0, (struct sockaddr *)&in, sizeof in));
    struct mmsghdr many[3] = {0};
    struct iovec parts[3] = {{"two", 3}, {"three", 5}, {"four", 4}};
    for (int i = 0; i < 3; i++) many[i].msg_hdr = (struct msghdr){&in, sizeof in, parts + i, 1};
    SHOW(sendmmsg(h, many, 3, 0));
    printf("%u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    length = sizeof peer;
    SHOW(recvfrom(g, a, 100, 0, (struct sockaddr *)&peer, &length));
    printf("%s %u\n", inet_ntoa(peer.sin_addr), length);
    struct iovec ins[3] = {{a, 10}, {a + 10, 10}, {a + 20, 10}};
    char controls[3][100];
    for (int i = 0; i < 3; i++) many[i].msg_hdr = (struct msghdr){NULL, 0, ins + i, 1, controls[i], 100};
    struct timespec ts = {1, 0};
    SHOW(recvmmsg(g, many, 3, MSG_WAITFORONE, &ts));
    printf("%u %u %u %.3s %.5s %.4s\n", many[0].msg_len, many[1].msg_len, many[2].msg_len, a, a + 10, a + 20);
    c = CMSG_FIRSTHDR(&many[0].msg_hdr);
    printf("%d %d %zu\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
    struct timeval stamp;
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    TRUE(labs(stamp.tv_sec - time(NULL)) < 3);
    struct sock_filter filter[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog program = {1, filter};
    SHOW(setsockopt(g, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    SHOW(send(h, "x", 1, 0));

    // Unix addresses, interfaces
    struct sockaddr_un un = {AF_UNIX, "\0apus-test"};
    int x = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    snprintf(un.sun_path + 1, 50, "apus-%d", getpid());
    SHOW(bind(x, (struct sockaddr *)&un, 20));
    length = sizeof un;
    SHOW(getsockname(x, (struct sockaddr *)&un, &length)); SHOW(length);
    struct ifreq r = {0};
    strcpy(r.ifr_name, "lo");
    SHOW(ioctl(g, SIOCGIFFLAGS, &r)); printf("%x\n", r.ifr_flags);
    SHOW(ioctl(g, SIOCGIFINDEX, &r)); SHOW(r.ifr_ifindex);
    SHOW(ioctl(g, SIOCGIFMTU, &r)); SHOW(r.ifr_mtu);
    SHOW(ioctl(g, SIOCGIFADDR, &r)); printf("%s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    strcpy(r.ifr_name, "nowhere");
    SHOW(ioctl(g, SIOCGIFFLAGS, &r));
    struct ifconf conf = {0};
    SHOW(ioctl(g, SIOCGIFCONF, &conf)); SHOW(conf.ifc_len);
}

// Netlink: links, addresses and routes of a network namespace of one's own, errors, generic netlink, socket diagnosis.
#include "show.h"
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

static char buffer[65536];
static unsigned sequence = 1;

struct message { struct nlmsghdr head; char body[1024]; };
static void *begin(struct message *m, int type, int flags, int size) {
    memset(m, 0, sizeof *m);
    m->head = (struct nlmsghdr){NLMSG_LENGTH(size), type, NLM_F_REQUEST | flags, sequence++, 0};
    return NLMSG_DATA(&m->head);
}
static void attribute(struct message *m, int type, const void *value, int length) {
    struct rtattr *a = (void *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));
    a->rta_type = type; a->rta_len = RTA_LENGTH(length); memcpy(RTA_DATA(a), value, length);
    m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}
// Sends the message, and calls `each` with what comes until the answer is complete; its error.
static int ask(int fd, struct message *m, void (*each)(struct nlmsghdr *)) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec part = {m, m->head.nlmsg_len};
    struct msghdr request = {&kernel, sizeof kernel, &part, 1};
    if (sendmsg(fd, &request, 0) < 0) return -errno;
    for (;;) {
        struct sockaddr_nl from; struct iovec in = {buffer, sizeof buffer}; struct msghdr answer = {&from, sizeof from, &in, 1};
        int length = recvmsg(fd, &answer, 0);
        if (length < 0) return -errno;
        if (from.nl_pid != 0) return -1000;
        for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, length); h = NLMSG_NEXT(h, length)) {
            if (h->nlmsg_type == NLMSG_DONE) return 0;
            if (h->nlmsg_type == NLMSG_ERROR) return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (each) each(h);
            if (!(h->nlmsg_flags & NLM_F_MULTI) && !(m->head.nlmsg_flags & NLM_F_ACK)) return 0;
        }
    }
}
static void link_seen(struct nlmsghdr *h) {
    struct ifinfomsg *i = NLMSG_DATA(h); int length = IFLA_PAYLOAD(h); char name[32] = ""; unsigned mtu = 0; int bytes = 0, statistics = 0;
    for (struct rtattr *a = IFLA_RTA(i); RTA_OK(a, length); a = RTA_NEXT(a, length)) {
        if (a->rta_type == IFLA_IFNAME) strcpy(name, RTA_DATA(a));
        if (a->rta_type == IFLA_MTU) mtu = *(unsigned *)RTA_DATA(a);
        if (a->rta_type == IFLA_ADDRESS) bytes = RTA_PAYLOAD(a);
        if (a->rta_type == IFLA_STATS64) statistics = 1;
    }
    printf("link %d %s type %d flags %x mtu %u address of %d, statistics %d\n", i->ifi_index, name, i->ifi_type, i->ifi_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), mtu, bytes, statistics);
}
static void address_seen(struct nlmsghdr *h) {
    struct ifaddrmsg *i = NLMSG_DATA(h); int length = IFA_PAYLOAD(h); char text[64] = "";
    for (struct rtattr *a = IFA_RTA(i); RTA_OK(a, length); a = RTA_NEXT(a, length))
        if (a->rta_type == IFA_ADDRESS) inet_ntop(i->ifa_family, RTA_DATA(a), text, sizeof text);
    printf("address %s/%d of link %u\n", text, i->ifa_prefixlen, i->ifa_index);
}
static void route_seen(struct nlmsghdr *h) {
    struct rtmsg *r = NLMSG_DATA(h); int length = RTM_PAYLOAD(h); char text[64] = "default"; int out = 0;
    for (struct rtattr *a = RTM_RTA(r); RTA_OK(a, length); a = RTA_NEXT(a, length)) {
        if (a->rta_type == RTA_DST) inet_ntop(r->rtm_family, RTA_DATA(a), text, sizeof text);
        if (a->rta_type == RTA_OIF) out = *(int *)RTA_DATA(a);
    }
    printf("route %s/%d over link %d, table %d\n", text, r->rtm_dst_len, out, r->rtm_table);
}
static void family_seen(struct nlmsghdr *h) {
    struct genlmsghdr *g = NLMSG_DATA(h); int length = h->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN);
    for (struct rtattr *a = (void *)((char *)g + GENL_HDRLEN); RTA_OK(a, length); a = RTA_NEXT(a, length)) {
        if (a->rta_type == CTRL_ATTR_FAMILY_NAME) printf("family %s\n", (char *)RTA_DATA(a));
        if (a->rta_type == CTRL_ATTR_FAMILY_ID) printf("number %d\n", *(unsigned short *)RTA_DATA(a));
    }
}
static void socket_seen(struct nlmsghdr *h) {
    struct inet_diag_msg *d = NLMSG_DATA(h);
    printf("socket family %d state %d port %d\n", d->idiag_family, d->idiag_state, ntohs(d->id.idiag_sport));
}

int main(void) {
    struct message m;
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) puts("no namespace");
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl mine = {.nl_family = AF_NETLINK}; socklen_t room = sizeof mine;
    SHOW(bind(fd, (void *)&mine, sizeof mine)); SHOW(getsockname(fd, (void *)&mine, &room)); TRUE(mine.nl_pid != 0 && room == sizeof mine);
    int one = 1; SHOW(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one)); SHOW(setsockopt(fd, SOL_NETLINK, 99, &one, sizeof one));

    begin(&m, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg)); SHOW(ask(fd, &m, link_seen));
    // A watcher hears of what changes.
    int watcher = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
    SHOW(bind(watcher, (void *)&groups, sizeof groups));
    struct ifinfomsg *link = begin(&m, RTM_NEWLINK, NLM_F_ACK, sizeof *link); link->ifi_index = 1; link->ifi_flags = IFF_UP; link->ifi_change = IFF_UP; SHOW(ask(fd, &m, NULL));
    struct ifaddrmsg *address = begin(&m, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *address);
    address->ifa_family = AF_INET; address->ifa_prefixlen = 24; address->ifa_index = 1;
    struct in_addr ten = {htonl(0x0a630001)}; attribute(&m, IFA_LOCAL, &ten, 4); attribute(&m, IFA_ADDRESS, &ten, 4);
    SHOW(ask(fd, &m, NULL)); m.head.nlmsg_seq = sequence++; SHOW(ask(fd, &m, NULL));
    begin(&m, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg)); ((struct ifaddrmsg *)NLMSG_DATA(&m.head))->ifa_family = AF_INET; SHOW(ask(fd, &m, address_seen));
    struct rtmsg *route = begin(&m, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, sizeof *route);
    *route = (struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 16, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
    struct in_addr net = {htonl(0xac100000)}; int index = 1; attribute(&m, RTA_DST, &net, 4); attribute(&m, RTA_OIF, &index, 4); SHOW(ask(fd, &m, NULL));
    begin(&m, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg)); ((struct rtmsg *)NLMSG_DATA(&m.head))->rtm_family = AF_INET; SHOW(ask(fd, &m, route_seen));
    for (;;) {
        int length = recv(watcher, buffer, sizeof buffer, 0);
        if (length < 0) { printf("watched: %s\n", strerrorname_np(errno)); break; }
        for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, length); h = NLMSG_NEXT(h, length)) printf("heard of %d\n", h->nlmsg_type);
    }
    // What is wrong
    link = begin(&m, RTM_GETLINK, NLM_F_ACK, sizeof *link); link->ifi_index = 12345; SHOW(ask(fd, &m, NULL));
    begin(&m, 999, NLM_F_ACK, 4); SHOW(ask(fd, &m, NULL));
    SHOW(sendto(fd, BAD, 16, 0, NULL, 0)); SHOW(recvfrom(fd, buffer, 10, MSG_DONTWAIT, NULL, NULL)); SHOW(socket(AF_NETLINK, SOCK_RAW, 77)); SHOW(socket(AF_NETLINK, SOCK_STREAM, 0));

    int generic = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
    struct genlmsghdr *g = begin(&m, GENL_ID_CTRL, 0, GENL_HDRLEN); g->cmd = CTRL_CMD_GETFAMILY; g->version = 1; attribute(&m, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7);
    SHOW(ask(generic, &m, family_seen));

    int listener = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(4242), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    SHOW(bind(listener, (void *)&where, sizeof where)); SHOW(listen(listener, 5));
    int diagnosis = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
    struct inet_diag_req_v2 *d = begin(&m, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof *d); d->sdiag_family = AF_INET; d->sdiag_protocol = IPPROTO_TCP; d->idiag_states = -1;
    SHOW(ask(diagnosis, &m, socket_seen));
    int events = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT); struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
    SHOW(bind(events, (void *)&all, sizeof all)); SHOW(recv(events, buffer, sizeof buffer, 0));
    return 0;
}

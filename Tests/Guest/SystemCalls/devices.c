// Requests of ioctl to files, block and loop devices, tunnels, FUSE, clocks and the random source. Where this user may
// not, host and guest are refused alike.
#include "show.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/loop.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/socket.h>

static void files(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), pipes[2], n = -1, size = 0;
    char block[8192];
    memset(block, 7, sizeof block);
    SHOW(write(fd, block, sizeof block));
    SHOW(fsync(fd));
    SHOW(lseek(fd, 100, SEEK_SET));
    SHOW(ioctl(fd, FIONREAD, &n)); TRUE(n == 8092);
    SHOW(ioctl(fd, FIGETBSZ, &size)); TRUE(size >= 512 && size <= 65536);
    struct stat s; fstat(fd, &s); TRUE(s.st_blksize == size);
    long flags = 0;
    WORKS(ioctl(fd, FS_IOC_GETFLAGS, &flags));
    int set = FS_NODUMP_FL, got = 0;
    WORKS(ioctl(fd, FS_IOC_SETFLAGS, &set));
    WORKS(ioctl(fd, FS_IOC_GETFLAGS, &got)); TRUE(got & FS_NODUMP_FL);
    struct fsxattr attributes = {0};
    WORKS(ioctl(fd, FS_IOC_FSGETXATTR, &attributes)); TRUE(attributes.fsx_xflags & FS_XFLAG_NODUMP);
    WORKS(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    WORKS(ioctl(fd, FS_IOC_GETVERSION, &n));
    union { struct fiemap map; char room[sizeof(struct fiemap) + 4 * sizeof(struct fiemap_extent)]; } extents;
    memset(&extents, 0, sizeof extents);
    extents.map.fm_length = ~0ULL; extents.map.fm_extent_count = 4; extents.map.fm_flags = FIEMAP_FLAG_SYNC;
    WORKS(ioctl(fd, FS_IOC_FIEMAP, &extents)); TRUE(extents.map.fm_mapped_extents >= 1);
    struct fiemap_extent *first = &extents.map.fm_extents[0];
    TRUE(first->fe_logical == 0 && first->fe_length >= 4096);
    SHOW(ioctl(fd, FS_IOC_FIEMAP, BAD));
    struct fstrim_range range = {0, ~0ULL, 1 << 20};
    int copy = open("copy", O_RDWR | O_CREAT, 0600);
    SHOW(ioctl(copy, FICLONE, fd));
    struct file_clone_range clone = {fd, 0, 4096, 0};
    SHOW(ioctl(copy, FICLONERANGE, &clone));
    union { struct file_dedupe_range range; char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)]; } same;
    memset(&same, 0, sizeof same); same.range.src_length = 4096; same.range.dest_count = 1; same.range.info[0].dest_fd = copy;
    SHOW(ioctl(fd, FIDEDUPERANGE, &same));
    SHOW(ioctl(fd, FIOCLEX)); SHOW(fcntl(fd, F_GETFD)); SHOW(ioctl(fd, FIONCLEX)); SHOW(fcntl(fd, F_GETFD));
    long long bytes = 0;
    SHOW(ioctl(fd, FIOQSIZE, &bytes)); TRUE(bytes == 8192);
    SHOW(ioctl(fd, BLKGETSIZE64, &bytes)); SHOW(ioctl(fd, TCGETS, block)); SHOW(ioctl(fd, 0xdeadbeef, block)); SHOW(ioctl(-1, FIONREAD, &n));
    pipe(pipes); write(pipes[1], "12345", 5);
    SHOW(ioctl(pipes[0], FIONREAD, &n)); TRUE(n == 5);
    int on = 1;
    SHOW(ioctl(pipes[0], FIONBIO, &on)); TRUE(fcntl(pipes[0], F_GETFL) & O_NONBLOCK);
    read(pipes[0], block, 5); SHOW(read(pipes[0], block, 5));
    close(fd); close(copy); unlink("copy");
}

static void loops(void) {
    int control = open("/dev/loop-control", O_RDWR), file = open("image", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(ftruncate(file, 1 << 20)); pwrite(file, "at the start", 12, 0);
    TRUE(control >= 0 || errno == EACCES || errno == ENOENT || errno == EPERM);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) return;
    char name[64]; snprintf(name, sizeof name, "/dev/loop%d", number);
    int loop = open(name, O_RDWR);
    if (loop < 0) { printf("no %s\n", "loop device"); return; }
    struct loop_info64 info = {0}, back = {0};
    SHOW(ioctl(loop, LOOP_GET_STATUS64, &back));
    WORKS(ioctl(loop, LOOP_SET_FD, file));
    info.lo_offset = 4096; info.lo_sizelimit = 65536; info.lo_flags = LO_FLAGS_AUTOCLEAR; strcpy((char *)info.lo_file_name, "an image");
    SHOW(ioctl(loop, LOOP_SET_STATUS64, &info));
    SHOW(ioctl(loop, LOOP_GET_STATUS64, &back));
    printf("%s %llu %llu %x\n", back.lo_file_name, (unsigned long long)back.lo_offset, (unsigned long long)back.lo_sizelimit, back.lo_flags);
    unsigned long long bytes = 0; unsigned long sectors = 0; int value = 0; size_t block = 0;
    SHOW(ioctl(loop, BLKGETSIZE64, &bytes)); SHOW(ioctl(loop, BLKGETSIZE, &sectors)); printf("%llu %lu\n", bytes, sectors);
    SHOW(ioctl(loop, BLKSSZGET, &value)); printf("%d\n", value); SHOW(ioctl(loop, BLKPBSZGET, &value)); printf("%d\n", value);
    SHOW(ioctl(loop, BLKROGET, &value)); printf("%d\n", value); SHOW(ioctl(loop, BLKIOMIN, &value)); printf("%d\n", value);
    unsigned short rotates = 9; SHOW(ioctl(loop, BLKROTATIONAL, &rotates)); TRUE(rotates <= 1);
    long ahead = 0; SHOW(ioctl(loop, BLKRAGET, &ahead)); TRUE(ahead > 0 && ahead < 1 << 20);
    SHOW(pwrite(loop, "through the loop", 16, 0)); SHOW(ioctl(loop, BLKFLSBUF)); SHOW(fsync(loop));
    uint64_t zero[2] = {4096, 4096}; SHOW(ioctl(loop, BLKZEROOUT, zero));
    char text[17] = ""; SHOW(pread(file, text, 16, 4096)); puts(text);
    SHOW(ioctl(loop, LOOP_SET_CAPACITY)); SHOW(ioctl(loop, LOOP_CHANGE_FD, 0));
    SHOW(ioctl(loop, LOOP_CLR_FD)); close(loop); close(file); unlink("image");
}

static void tunnel(void) {
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) { puts("no namespace"); return; }
    int fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0) { printf("tun: %s\n", strerrorname_np(errno)); return; }
    unsigned features = 0;
    SHOW(ioctl(fd, TUNGETFEATURES, &features)); TRUE(features & IFF_TUN);
    struct ifreq request = {0}; strcpy(request.ifr_name, "apus%d"); request.ifr_flags = IFF_TUN | IFF_NO_PI;
    SHOW(ioctl(fd, TUNSETIFF, &request)); puts(request.ifr_name);
    struct ifreq back = {0}; SHOW(ioctl(fd, TUNGETIFF, &back)); printf("%s %x\n", back.ifr_name, back.ifr_flags & (IFF_TUN | IFF_NO_PI | IFF_TAP));
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(0x0a4d0001)}};
    SHOW(ioctl(s, SIOCSIFADDR, &request));
    address->sin_addr.s_addr = htonl(0xffffff00); SHOW(ioctl(s, SIOCSIFNETMASK, &request));
    request.ifr_mtu = 1400; SHOW(ioctl(s, SIOCSIFMTU, &request)); request.ifr_mtu = 0; SHOW(ioctl(s, SIOCGIFMTU, &request)); printf("mtu %d\n", request.ifr_mtu);
    SHOW(ioctl(s, SIOCGIFFLAGS, &request)); request.ifr_flags |= IFF_UP; SHOW(ioctl(s, SIOCSIFFLAGS, &request));
    SHOW(ioctl(s, SIOCGIFINDEX, &request)); int index = request.ifr_ifindex; memset(request.ifr_name, 0, IFNAMSIZ); request.ifr_ifindex = index;
    SHOW(ioctl(s, SIOCGIFNAME, &request)); puts(request.ifr_name);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(7777), .sin_addr = {htonl(0x0a4d0002)}};
    SHOW(sendto(s, "into the tunnel", 15, 0, (struct sockaddr *)&there, sizeof there));
    unsigned char packet[2048]; int length;
    do length = read(fd, packet, sizeof packet); while (length > 0 && packet[0] >> 4 != 4);   // IPv6 looks for its neighbours
    printf("%d bytes, protocol %d, to %d.%d.%d.%d: %.15s\n", length, packet[9], packet[16], packet[17], packet[18], packet[19], packet + 28);
    // The answer comes the other way.
    struct sockaddr_in mine; socklen_t room = sizeof mine; getsockname(s, (struct sockaddr *)&mine, &room);
    unsigned char answer[31] = {0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1, 7777 >> 8, 7777 & 255, packet[20], packet[21], 0, 11, 0, 0, 'y', 'e', 's'};
    unsigned sum = 0; for (int i = 0; i < 20; i += 2) sum += answer[i] << 8 | answer[i + 1];
    sum = (sum & 0xffff) + (sum >> 16); sum = ~sum & 0xffff; answer[10] = sum >> 8; answer[11] = sum;
    SHOW(write(fd, answer, sizeof answer));
    char text[16] = ""; struct timeval wait = {5, 0}; setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait); SHOW(recv(s, text, 15, 0)); puts(text);
    SHOW(ioctl(fd, TUNSETPERSIST, 0)); close(fd); SHOW(ioctl(s, SIOCGIFFLAGS, &request)); close(s);
}

static void others(void) {
    int fd = open("/dev/urandom", O_RDWR), bits = -1;
    SHOW(ioctl(fd, RNDGETENTCNT, &bits)); TRUE(bits >= 0);
    WORKS(ioctl(fd, RNDZAPENTCNT + 77, &bits)); close(fd);
    fd = open("/dev/rtc0", O_RDONLY);
    if (fd >= 0) { struct rtc_time now = {0}; WORKS(ioctl(fd, RTC_RD_TIME, &now)); TRUE(now.tm_year > 100 && now.tm_mon < 12); close(fd); }
    fd = open("/dev/fuse", O_RDWR | O_NONBLOCK);
    if (fd >= 0) {
        char request[8192], options[128];
        SHOW(read(fd, request, sizeof request));
        mkdir("mounted", 0700);
        snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, getuid(), getgid());
        long status = unshare(CLONE_NEWNS) < 0 ? -1 : mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        if (status == 0) status = mount("test", "mounted", "fuse", MS_NOSUID | MS_NODEV, options);
        show(__LINE__, "mount", status);
        if (status == 0) {
            // The kernel's first request, FUSE_INIT, with its header of fixed widths.
            struct { uint32_t length, opcode; uint64_t unique, node; uint32_t uid, gid, pid, extension, major, minor; } *head = (void *)request;
            long length = read(fd, request, sizeof request);
            TRUE(length == head->length); printf("opcode %u version %u\n", head->opcode, head->major);
            struct { uint32_t length; int32_t error; uint64_t unique; } no = {16, -EPROTO, head->unique};
            SHOW(write(fd, &no, sizeof no));
            SHOW(umount2("mounted", MNT_DETACH));
        }
        rmdir("mounted"); close(fd);
    }
}

int main(void) {
    files();
    loops();
    others();
    tunnel();
    return 0;
}

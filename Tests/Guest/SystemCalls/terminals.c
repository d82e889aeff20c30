// ioctl: terminals through a pseudo-terminal, files, pipes.
#include "show.h"
#include <linux/fs.h>
#include <poll.h>
#include <pty.h>
#include <termios.h>

int main(void) {
    int m = posix_openpt(O_RDWR | O_NOCTTY), s, n;
    TRUE(m >= 0);
    SHOW(grantpt(m));
    SHOW(unlockpt(m));
    SHOW(ioctl(m, TIOCGPTN, &n));
    char *name = ptsname(m);
    TRUE(name && !strncmp(name, "/dev/pts/", 9));
    s = open(name, O_RDWR | O_NOCTTY);
    TRUE(s >= 0);
    SHOW(isatty(s));
    struct termios t;
    SHOW(tcgetattr(s, &t));
    printf("%x %x %x %x %d %d\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_cc[VINTR], t.c_cc[VMIN]);
    printf("%d %d\n", cfgetispeed(&t), cfgetospeed(&t));
    cfmakeraw(&t);
    cfsetspeed(&t, B9600);
    SHOW(tcsetattr(s, TCSANOW, &t));
    SHOW(tcgetattr(s, &t));
    printf("%x %x %x %x\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    SHOW(tcsetattr(s, TCSAFLUSH, &t));
    SHOW(ioctl(s, TCGETS, BAD));
    struct winsize w = {24, 80, 0, 0}, got;
    SHOW(ioctl(m, TIOCSWINSZ, &w));
    SHOW(ioctl(s, TIOCGWINSZ, &got));
    printf("%d %d\n", got.ws_row, got.ws_col);
    SHOW(write(m, "hello\n", 6));
    // What is written arrives a moment later.
    struct pollfd f = {s, POLLIN, 0};
    SHOW(poll(&f, 1, 5000));
    SHOW(ioctl(s, FIONREAD, &n)); SHOW(n);
    char buffer[20];
    SHOW(read(s, buffer, 20));
    SHOW(ioctl(s, TCXONC, 1));
    SHOW(ioctl(s, TCFLSH, 2));
    SHOW(ioctl(s, TIOCOUTQ, &n)); SHOW(n);
    SHOW(tcdrain(s));
    SHOW(ioctl(s, TIOCEXCL, 0));
    SHOW(ioctl(s, TIOCNXCL, 0));
    SHOW(tcgetpgrp(s));
    SHOW(ioctl(m, TIOCPKT, &n));
    fflush(stdout);
    if (fork() == 0) {
        SHOW(setsid() > 0);
        SHOW(ioctl(s, TIOCSCTTY, 0));
        SHOW(tcgetpgrp(s) == getpid());
        SHOW(tcgetsid(s) == getpid());
        SHOW(tcsetpgrp(s, getpid()));
        SHOW(open("/dev/tty", O_RDWR) >= 0);
        SHOW(ioctl(s, TIOCNOTTY));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    int p[2], one = 1;
    pipe(p);
    SHOW(ioctl(p[0], TCGETS, &t));
    SHOW(write(p[1], "abc", 3));
    SHOW(ioctl(p[0], FIONREAD, &n)); SHOW(n);
    SHOW(ioctl(p[0], FIONBIO, &one));
    SHOW(fcntl(p[0], F_GETFL));
    SHOW(ioctl(p[0], FIOCLEX));
    SHOW(fcntl(p[0], F_GETFD));
    SHOW(ioctl(p[0], FIONCLEX));
    SHOW(fcntl(p[0], F_GETFD));
    SHOW(ioctl(p[0], 0x12345678, &n));
    SHOW(ioctl(99, FIONREAD, &n));
    SHOW(ioctl(99, 0x12345678, &n));
    int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    SHOW(ioctl(file, FIGETBSZ, &n)); SHOW(n);
    long flags = 0;
    WORKS(ioctl(file, FS_IOC_GETFLAGS, &flags));
    SHOW(ioctl(file, TIOCGWINSZ, &w));
}

// What /proc says of the program.
#include "show.h"
#include <elf.h>
#include <sys/auxv.h>

extern char __executable_start, end;

static int content(const char *path, char *buffer, int room) {
    int f = open(path, O_RDONLY), n = 0, r;
    if (f < 0) return -1;
    while (n < room - 1 && (r = read(f, buffer + n, room - 1 - n)) > 0) n += r;
    buffer[n] = 0;
    close(f);
    return n;
}

static int region(const char *maps, const void *address, char *permissions, char *name) {
    unsigned long start, stop, offset, inode;
    for (const char *line = maps; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char device[20];
        name[0] = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %19s %lu %[^\n]", &start, &stop, permissions, &offset, device, &inode, name) < 6) continue;
        if ((unsigned long)address >= start && (unsigned long)address < stop) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    static char buffer[1 << 20];
    char permissions[8], name[300], path[300], exe[300];
    int local;
    SHOW(readlink("/proc/self/exe", exe, 300) > 0);
    int length = readlink("/proc/self/exe", exe, 299);
    exe[length] = 0;
    char *real = realpath(argv[0], NULL);
    TRUE(real && !strcmp(real, exe));
    snprintf(path, 300, "/proc/%d/exe", getpid());
    TRUE(readlink(path, name, 300) == length && !strncmp(name, exe, length));
    SHOW(readlink("/proc/self/exe", name, 4));
    struct stat a, b;
    SHOW(stat("/proc/self/exe", &a)); SHOW(stat(exe, &b));
    TRUE(a.st_ino == b.st_ino && S_ISREG(a.st_mode));
    SHOW(lstat("/proc/self/exe", &a));
    TRUE(S_ISLNK(a.st_mode));
    int f = open("/proc/self/exe", O_RDONLY);
    fstat(f, &a);
    TRUE(a.st_ino == b.st_ino);
    SHOW(open("/proc/self/maps", O_WRONLY));
    SHOW(open("/proc/self/maps", O_RDONLY | O_DIRECTORY));

    TRUE(content("/proc/self/cmdline", buffer, sizeof buffer) == strlen(argv[0]) + 1 && !strcmp(buffer, argv[0]));
    TRUE(content("/proc/self/environ", buffer, sizeof buffer) > 0);
    void *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mprotect(map, 4096, PROT_READ);
    void *heap = malloc(100);
    TRUE(content("/proc/self/maps", buffer, sizeof buffer) > 100);
    TRUE(region(buffer, main, permissions, name));
    printf("%s %d\n", permissions, !strcmp(name, exe));
    TRUE(region(buffer, buffer, permissions, name));
    printf("%s\n", permissions);
    TRUE(region(buffer, &local, permissions, name));
    printf("%s %s\n", permissions, name);
    TRUE(region(buffer, heap, permissions, name));
    printf("%s %s\n", permissions, name);
    TRUE(region(buffer, map, permissions, name));
    printf("%s\n", permissions);
    TRUE(region(buffer, (char *)map + 4096, permissions, name));
    printf("%s\n", permissions);
    TRUE(region(buffer, (void *)getauxval(AT_SYSINFO_EHDR), permissions, name));
    printf("%s %s\n", permissions, name);
    munmap(map, 8192);
    content("/proc/self/maps", buffer, sizeof buffer);
    TRUE(!region(buffer, map, permissions, name));
    TRUE(!strstr(buffer, "apus\n"));
    TRUE(content("/proc/self/smaps", buffer, sizeof buffer) > 1000 && strstr(buffer, "Rss:"));
    length = content("/proc/self/auxv", buffer, sizeof buffer);
    unsigned long *aux = (unsigned long *)buffer, page = 0;
    for (; *aux; aux += 2) if (*aux == AT_PAGESZ) page = aux[1];
    SHOW(page);
    TRUE((char *)aux + 16 == buffer + length);
    content("/proc/self/stat", buffer, sizeof buffer);
    TRUE(atoi(buffer) == getpid());
    unsigned long stack = 0;
    sscanf(strrchr(buffer, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u %lu", &stack);
    TRUE(stack > (unsigned long)&local && stack - (unsigned long)&local < 1 << 20);
    TRUE(content("/proc/self/status", buffer, sizeof buffer) > 100 && strstr(buffer, "Pid:"));
    snprintf(path, 300, "/proc/self/task/%d/maps", getpid());
    TRUE(content(path, buffer, sizeof buffer) > 100);
    TRUE(content("/proc/thread-self/cmdline", buffer, sizeof buffer) > 0);
    TRUE(content("/proc/cpuinfo", buffer, sizeof buffer) > 20);
    TRUE(content("/proc/self/comm", buffer, sizeof buffer) > 0 && strstr(exe, "proc"));
    snprintf(path, 300, "/proc/self/fd/%d", f);
    int again = readlink(path, name, 299);
    TRUE(again == strlen(exe) && !strncmp(name, exe, again));
    // By other ways than absolute paths in their plain spelling.
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY), here = open(".", O_RDONLY);
    for (int way = 0; way < 5; way++) {
        const char *names[] = { "cmdline", "./cmdline", "task/../cmdline", "/proc/self/../self/./cmdline", "fd/../cmdline" };
        int file = openat(directory, names[way], O_RDONLY);
        TRUE(file >= 0 && read(file, buffer, 1000) == strlen(argv[0]) + 1 && !strcmp(buffer, argv[0]));
    }
    TRUE(readlinkat(directory, "exe", name, 300) == length && !strncmp(name, exe, length));
    SHOW(fstatat(directory, "exe", &b, 0));
    TRUE(b.st_ino == a.st_ino);
    SHOW(chdir("/proc/self"));
    TRUE(content("maps", buffer, sizeof buffer) > 100 && region(buffer, main, permissions, name));
    TRUE(readlink("exe", name, 300) == length && !strncmp(name, exe, length));
    SHOW(chdir("/proc"));
    TRUE(content("self/maps", buffer, sizeof buffer) > 100 && region(buffer, main, permissions, name));
    fchdir(here);
    SHOW(openat(here, "cmdline", O_RDONLY));
}

// System V and POSIX inter-process communication.
#include "show.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

int main(void) {
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    TRUE(id >= 0);
    int *m = shmat(id, NULL, 0), *n = shmat(id, NULL, SHM_RDONLY);
    TRUE(m != (void *)-1 && n != (void *)-1 && m != n);
    m[100] = 42;
    SHOW(n[100]);
    struct shmid_ds ds;
    SHOW(shmctl(id, IPC_STAT, &ds));
    printf("%zu %lu %o %d %d\n", ds.shm_segsz, (long)ds.shm_nattch, ds.shm_perm.mode & 0777, ds.shm_cpid == getpid(), ds.shm_atime > 0);
    SHOW(shmctl(id, IPC_STAT, BAD));
    ds.shm_perm.mode = 0640;
    SHOW(shmctl(id, IPC_SET, &ds));
    SHOW(shmdt(n));
    SHOW(shmdt(n));
    fflush(stdout);
    if (fork() == 0) { m[100]++; SHOW(shmdt(m)); fflush(stdout); _exit(0); }
    wait(NULL);
    SHOW(m[100]);
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(m[100]);
    SHOW(shmdt(m));
    SHOW(shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
    SHOW(shmget(12345678, 10, 0));

    int s = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    TRUE(s >= 0);
    union semun u = {.val = 5};
    SHOW(semctl(s, 1, SETVAL, u));
    SHOW(semctl(s, 1, GETVAL));
    unsigned short values[3] = {1, 2, 3}, got[3];
    u.array = values;
    SHOW(semctl(s, 0, SETALL, u));
    u.array = got;
    SHOW(semctl(s, 0, GETALL, u));
    printf("%d %d %d\n", got[0], got[1], got[2]);
    struct sembuf ops[2] = {{0, -1, 0}, {2, 4, 0}};
    SHOW(semop(s, ops, 2));
    SHOW(semctl(s, 2, GETVAL));
    struct sembuf no = {0, -1, IPC_NOWAIT}, wait_ = {0, -1, 0};
    SHOW(semop(s, &no, 1));
    struct timespec t = {0, 10000000};
    SHOW(semtimedop(s, &wait_, 1, &t));
    struct semid_ds sd;
    u.buf = &sd;
    SHOW(semctl(s, 0, IPC_STAT, u));
    printf("%lu %o %d %d\n", (long)sd.sem_nsems, sd.sem_perm.mode & 0777, sd.sem_otime > 0, sd.sem_ctime > 0);
    SHOW(semctl(s, 0, GETPID) == getpid());
    SHOW(semctl(s, 9, GETVAL));
    SHOW(semctl(s, 0, IPC_RMID));
    SHOW(semop(s, &no, 1));

    int q = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    TRUE(q >= 0);
    struct { long type; char text[20]; } message = {7, "seven"};
    SHOW(msgsnd(q, &message, 6, 0));
    message.type = 0;
    SHOW(msgsnd(q, &message, 6, 0));
    message.type = 3; strcpy(message.text, "three");
    SHOW(msgsnd(q, &message, 6, 0));
    SHOW(msgrcv(q, &message, 20, 3, 0));
    printf("%ld %s\n", message.type, message.text);
    SHOW(msgrcv(q, &message, 2, 0, 0));
    SHOW(msgrcv(q, &message, 2, 0, MSG_NOERROR));
    SHOW(msgrcv(q, &message, 20, 0, IPC_NOWAIT));
    struct msqid_ds qd;
    SHOW(msgctl(q, IPC_STAT, &qd));
    printf("%lu %d %o\n", (long)qd.msg_qnum, qd.msg_lspid == getpid(), qd.msg_perm.mode & 0777);
    SHOW(msgctl(q, IPC_RMID, NULL));

    char name[50];
    snprintf(name, sizeof name, "/apus-%d", getpid());
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    mqd_t mq = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
    TRUE(mq != (mqd_t)-1);
    SHOW(mq_send(mq, "low", 3, 1));
    SHOW(mq_send(mq, "high", 4, 9));
    char buffer[64];
    unsigned priority = 0;
    SHOW(mq_receive(mq, buffer, 64, &priority)); SHOW(priority);
    SHOW(mq_receive(mq, buffer, 6, &priority));
    SHOW(mq_getattr(mq, &attr));
    printf("%ld %ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
    SHOW(mq_receive(mq, buffer, 64, NULL));
    SHOW(mq_receive(mq, buffer, 64, NULL));
    SHOW(mq_close(mq));
    SHOW(mq_unlink(name));
    SHOW(mq_unlink(name));
}

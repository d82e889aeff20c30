// An integer mix in the manner of embedded benchmarks: list walking, small matrices, a state machine, CRC.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct node { struct node *next; int16_t key, value; };
static struct node pool[400];

static uint16_t crc(uint16_t c, uint32_t v) {
    for (int i = 0; i < 32; i++, v >>= 1) c = (c >> 1) ^ (((c ^ v) & 1) ? 0xA001 : 0);
    return c;
}
static struct node *merge(struct node *a, struct node *b) {
    struct node head, *tail = &head;
    while (a && b) {
        if (a->key <= b->key) { tail->next = a; a = a->next; } else { tail->next = b; b = b->next; }
        tail = tail->next;
    }
    tail->next = a ? a : b;
    return head.next;
}
static struct node *sort(struct node *l) {
    if (!l || !l->next) return l;
    struct node *slow = l, *fast = l->next;
    while (fast && fast->next) { slow = slow->next; fast = fast->next->next; }
    fast = slow->next; slow->next = 0;
    return merge(sort(l), sort(fast));
}
static int state(const char *s) {
    int st = 0, seen[8] = {0};
    for (; *s; s++) {
        switch (st) {
        case 0: st = *s == '+' || *s == '-' ? 1 : *s >= '0' && *s <= '9' ? 2 : *s == '.' ? 3 : 7; break;
        case 1: st = *s >= '0' && *s <= '9' ? 2 : *s == '.' ? 3 : 7; break;
        case 2: st = *s == '.' ? 3 : *s == 'e' ? 4 : *s >= '0' && *s <= '9' ? 2 : *s == ',' ? 0 : 7; break;
        case 3: st = *s == 'e' ? 4 : *s >= '0' && *s <= '9' ? 3 : *s == ',' ? 0 : 7; break;
        case 4: st = *s == '-' || *s == '+' ? 5 : 7; break;
        case 5: st = *s >= '0' && *s <= '9' ? 5 : *s == ',' ? 0 : 7; break;
        default: st = *s == ',' ? 0 : 7; break;
        }
        seen[st]++;
    }
    return seen[2] * 31 + seen[3] * 17 + seen[5] * 7 + seen[7];
}
int main(int c, char **v) {
    int rounds = c > 1 ? atoi(v[1]) : 30000;
    uint32_t x = 12345, total = 0;
    static int16_t a[24][24], b[24][24];
    static int32_t m[24][24];
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < 400; i++) {
            x = x * 1103515245 + 12345;
            pool[i].key = (x >> 16) & 0x7fff; pool[i].value = i; pool[i].next = i < 399 ? &pool[i + 1] : 0;
        }
        int n = 0;
        for (struct node *p = sort(pool); p; p = p->next) total += p->value * n++;
        for (int i = 0; i < 24; i++) for (int j = 0; j < 24; j++) { a[i][j] = x >> (i & 7); b[i][j] = i * j + r; }
        for (int i = 0; i < 24; i++) for (int j = 0; j < 24; j++) {
            int32_t s = 0;
            for (int k = 0; k < 24; k++) s += a[i][k] * b[k][j];
            m[i][j] = s;
        }
        total += state("5012,-874,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,T0.3e-1F,1T3.4e4z,+1.2e") * (r & 3);
        total = total * 31 + crc(total & 0xffff, m[r % 24][(r * 7) % 24]);
    }
    printf("%08x\n", total);
}

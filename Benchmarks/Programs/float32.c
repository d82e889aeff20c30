// Single precision: a stencil, a Mandelbrot set, a small neural layer. Contraction is off, so every host agrees.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int c, char **v) {
    int rounds = c > 1 ? atoi(v[1]) : 240;
    static float a[130][130], b[130][130], w[64][64];
    for (int i = 0; i < 130; i++) for (int j = 0; j < 130; j++) a[i][j] = (float)((i * 37 + j * 11) % 101) / 10.0f;
    for (int i = 0; i < 64; i++) for (int j = 0; j < 64; j++) w[i][j] = (float)((i * j) % 17 - 8) / 9.0f;
    uint32_t inside = 0; float sum = 0;
    for (int r = 0; r < rounds; r++) {
        for (int k = 0; k < 4; k++) {
            for (int i = 1; i < 129; i++) for (int j = 1; j < 129; j++)
                b[i][j] = 0.25f * (a[i - 1][j] + a[i + 1][j] + a[i][j - 1] + a[i][j + 1]) - 0.001f * a[i][j] * a[i][j];
            memcpy(a, b, sizeof a);
        }
        for (int y = 0; y < 60; y++) for (int x = 0; x < 60; x++) {
            float cr = x / 30.0f - 1.5f, ci = y / 30.0f - 1.0f, zr = 0, zi = 0; int n = 0;
            while (n < 60 && zr * zr + zi * zi < 4.0f) { float t = zr * zr - zi * zi + cr; zi = 2.0f * zr * zi + ci; zr = t; n++; }
            inside += n;
        }
        float in[64], out[64];
        for (int i = 0; i < 64; i++) in[i] = a[i + 1][r + 1];
        for (int l = 0; l < 6; l++) {
            for (int i = 0; i < 64; i++) { float s = 0; for (int j = 0; j < 64; j++) s += w[i][j] * in[j]; out[i] = s > 0 ? sqrtf(s) : s / 16.0f; }
            memcpy(in, out, sizeof in);
        }
        sum += in[r % 64];
    }
    uint32_t bits; memcpy(&bits, &sum, 4); printf("%u %08x %a\n", inside, bits, (double)a[64][64]);
}

// Double precision: an FFT, LU decomposition, the mathematical library.
#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2048, M = 90 };
static double re[N], im[N], a[M][M];
static void fft(void) {
    for (int i = 1, j = 0; i < N; i++) {
        int bit = N >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) { double t = re[i]; re[i] = re[j]; re[j] = t; t = im[i]; im[i] = im[j]; im[j] = t; }
    }
    for (int len = 2; len <= N; len <<= 1) {
        double wr = cos(-2 * M_PI / len), wi = sin(-2 * M_PI / len);
        for (int i = 0; i < N; i += len) {
            double ur = 1, ui = 0;
            for (int k = 0; k < len / 2; k++) {
                int p = i + k, q = p + len / 2;
                double vr = re[q] * ur - im[q] * ui, vi = re[q] * ui + im[q] * ur;
                re[q] = re[p] - vr; im[q] = im[p] - vi; re[p] += vr; im[p] += vi;
                double t = ur * wr - ui * wi; ui = ur * wi + ui * wr; ur = t;
            }
        }
    }
}
int main(int c, char **v) {
    int rounds = c > 1 ? atoi(v[1]) : 300;
    double sum = 0;
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) { re[i] = (i * 7 + r) % 31; im[i] = 0; }
        fft();
        sum += re[r + 1] * 1e-3;
        for (int i = 0; i < M; i++) for (int j = 0; j < M; j++) a[i][j] = (i * 13 + j * 7 + r) % 19 + (i == j) * 50;
        for (int k = 0; k < M; k++) for (int i = k + 1; i < M; i++) {
            double m = a[i][k] / a[k][k];
            for (int j = k; j < M; j++) a[i][j] -= m * a[k][j];
        }
        sum += a[M - 1][M - 1];
        for (int i = 1; i < 4000; i++) sum += sin(i * 0.01) * exp(-i * 0.001) + log(i) * 1e-3 + pow(i, 0.3) * 1e-3 + atan2(i, r + 1) * 1e-3;
    }
    printf("%.9e\n", sum);
}

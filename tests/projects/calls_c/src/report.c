#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Writes "<architecture> <power of the median>", by a good part of the C library. */
int report(char *into, size_t size, double *values, size_t count) {
    struct stat root;
    if (stat("/", &root) != 0 || count == 0) return -1;
    qsort(values, count, sizeof *values, ascending);
    memset(into, 0, size);
#if defined(__aarch64__)
    const char *machine = "aarch64";
#elif defined(__x86_64__)
    const char *machine = "x86_64";
#endif
    return snprintf(into, size, "%s %.3f", machine, pow(values[count / 2], 1.5));
}

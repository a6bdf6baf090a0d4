#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    printf("%s %f\n", argv[0], sqrt((double)argc));
    return 0;
}

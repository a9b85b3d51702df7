/* Included before every file by the build: calls that write or read without a length, or hide errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof

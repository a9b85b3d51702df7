/* The recording lies in the program's read-only data and is given a path through an anonymous file. */
#include "app/demo.h"

#include "base/bytes.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

__asm__(".section .rodata\n"
        ".global demo_recording\n"
        "demo_recording:\n"
        ".incbin \"" DEMO_FILE "\"\n"
        ".global demo_recording_end\n"
        "demo_recording_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char demo_recording[], demo_recording_end[];

static int demo_write(int file)
{
    for (const char *at = demo_recording; at < demo_recording_end;) {
        ssize_t written = write(file, at, (size_t)(demo_recording_end - at));
        if (written <= 0)
            return -1;
        at += written;
    }
    return 0;
}

const char *demo_path(struct error *error)
{
    static char path[64];
    if (path[0])
        return path;
    int file = memfd_create("demo.jsonl", MFD_CLOEXEC);
    if (file < 0 || demo_write(file) < 0) {
        error_set_errno(error, errno, "cannot unpack the demo recording");
        if (file >= 0)
            close(file);
        return NULL;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

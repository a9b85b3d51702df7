/* Runs a fuzz target over the files of a corpus folder (or single files): the regression test of `make test`. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size ? size : 1);
    size_t got = data ? fread(data, 1, size, file) : 0;
    fclose(file);
    if (data)
        LLVMFuzzerTestOneInput(data, got);
    free(data);
    return 0;
}

static int run_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        return 1;
    }
    int failures = 0, files = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        failures += run_file(name);
        files++;
    }
    closedir(directory);
    if (files == 0) {
        fprintf(stderr, "%s: empty corpus\n", path);
        return 1;
    }
    printf("%d inputs\n", files);
    return failures;
}

int main(int count, char **arguments)
{
    int failures = 0;
    for (int i = 1; i < count; i++) {
        struct stat info;
        bool directory = stat(arguments[i], &info) == 0 && S_ISDIR(info.st_mode);
        failures += directory ? run_directory(arguments[i]) : run_file(arguments[i]);
    }
    return failures ? 1 : 0;
}

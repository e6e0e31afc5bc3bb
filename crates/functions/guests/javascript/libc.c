/* What the C library would ask of WASI preview 1. Nothing of it is there: no files, no environment, no exit; time and
 * chance come from imports of their own, once the module is loaded. While it is loaded, the time is the epoch. */

/* Whether the module is loaded, so that there is a host to ask. */
static bool is_loaded;

#define WASI(name) __imported_wasi_snapshot_preview1_##name
#define NO_SUCH_THING 52 /* ENOSYS */

int32_t WASI(clock_time_get)(int32_t clock, int64_t precision, int32_t out)
{
    uint64_t *time = (uint64_t *)out;
    (void)precision;
    *time = 0;
    if (is_loaded && clock == 0) {
        moment_t now;
        wall_clock_now(&now);
        *time = now.seconds * 1000000000ull + now.nanoseconds;
    } else if (is_loaded)
        *time = monotonic_clock_now();
    return 0;
}

int32_t WASI(random_get)(int32_t at, int32_t length)
{
    memset((void *)at, 0, length);
    return 0;
}

int32_t WASI(environ_get)(int32_t a, int32_t b)
{
    (void)a, (void)b;
    return 0;
}

int32_t WASI(environ_sizes_get)(int32_t count, int32_t size)
{
    *(int32_t *)count = 0;
    *(int32_t *)size = 0;
    return 0;
}

int32_t WASI(fd_close)(int32_t fd)
{
    (void)fd;
    return NO_SUCH_THING;
}

int32_t WASI(fd_fdstat_get)(int32_t fd, int32_t out)
{
    (void)fd, (void)out;
    return NO_SUCH_THING;
}

int32_t WASI(fd_seek)(int32_t fd, int64_t offset, int32_t whence, int32_t out)
{
    (void)fd, (void)offset, (void)whence, (void)out;
    return NO_SUCH_THING;
}

int32_t WASI(fd_write)(int32_t fd, int32_t parts, int32_t count, int32_t out)
{
    (void)fd, (void)parts, (void)count, (void)out;
    return NO_SUCH_THING;
}

_Noreturn void WASI(proc_exit)(int32_t code)
{
    (void)code;
    __builtin_trap();
}

int close(int fd)
{
    (void)fd;
    return -1;
}

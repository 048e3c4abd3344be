/* A libnvidia-ml.so.1 without a GPU: what autocard and CodeCarbon ask of NVML, answered from the file gpus.conf beside it.

   One line for each GPU, one for the driver; words of the form key=value, "_" stands for a blank:

     driver=580.65.06 cuda=12080 init=0
     gpu uuid=GPU-… name=NVIDIA_Stand-in memory=85899345920 watts=300 low=100 period_s=1.5 counter=1 update_ms=100
         offset_mj=0 dead=0 processes=1 mig=MIG-…,MIG-…

   The power is watts; with period_s it is a square wave: watts in the first half of each period since boot, low in the
   second. The energy counter is its integral over the monotonic clock since boot, + offset_mj; with update_ms it moves only
   that often, as real ones do. dead is 1 (the GPU is lost), or the error code that everything about the GPU gives. The file
   is read at each call, so that a test can change it while a process runs. Error codes are those of nvml.h. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { MOST = 16, BOARD = 1, SLICE = 1000 };

typedef struct {
    char uuid[96], name[96], mig[400];
    unsigned long long memory;
    long long offset_mj;
    double watts, low, period_s;
    int counter, update_ms, dead, processes;
} Gpu;

typedef struct {
    char driver[80];
    int cuda, init, count;
    Gpu gpus[MOST];
} Machine;

static int initialised = 0;

static void word(const char *line, const char *key, char *value, size_t size) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *found = strstr(line, pattern);
    if (!found) return;
    found += strlen(pattern);
    size_t length = strcspn(found, " \n");
    if (length >= size) length = size - 1;
    memcpy(value, found, length);
    value[length] = 0;
    for (char *c = value; *c; c++)
        if (*c == '_') *c = ' ';
}

static double number(const char *line, const char *key, double otherwise) {
    char value[64] = "";
    word(line, key, value, sizeof value);
    return *value ? atof(value) : otherwise;
}

static Machine machine(void) {
    Machine m;
    memset(&m, 0, sizeof m);
    Dl_info info;
    char path[4096], line[1024];
    if (!dladdr((void *)machine, &info)) return m;
    snprintf(path, sizeof path, "%s", info.dli_fname);
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "gpus.conf");
    FILE *file = fopen(path, "r");
    if (!file) return m;
    while (fgets(line + 1, sizeof line - 1, file)) {
        line[0] = ' ';
        if (strstr(line, " driver=")) {
            word(line, "driver", m.driver, sizeof m.driver);
            m.cuda = (int)number(line, "cuda", 12080);
            m.init = (int)number(line, "init", 0);
        } else if (strstr(line, " gpu ") && m.count < MOST) {
            Gpu *gpu = &m.gpus[m.count++];
            word(line, "uuid", gpu->uuid, sizeof gpu->uuid);
            word(line, "name", gpu->name, sizeof gpu->name);
            word(line, "mig", gpu->mig, sizeof gpu->mig);
            gpu->memory = (unsigned long long)number(line, "memory", 80e9);
            gpu->watts = number(line, "watts", 300);
            gpu->low = number(line, "low", 0);
            gpu->period_s = number(line, "period_s", 0);
            gpu->update_ms = (int)number(line, "update_ms", 0);
            gpu->offset_mj = (long long)number(line, "offset_mj", 0);
            gpu->counter = (int)number(line, "counter", 1);
            gpu->dead = (int)number(line, "dead", 0);
            gpu->processes = (int)number(line, "processes", 1);
        }
    }
    fclose(file);
    return m;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + now.tv_nsec / 1e9;
}

static double watts_at(const Gpu *gpu, double at_s) {
    if (gpu->period_s <= 0) return gpu->watts;
    double into_s = at_s - (double)(long long)(at_s / gpu->period_s) * gpu->period_s;
    return into_s < gpu->period_s / 2 ? gpu->watts : gpu->low;
}

static double joules_at(const Gpu *gpu, double at_s) {
    if (gpu->period_s <= 0) return gpu->watts * at_s;
    double half_s = gpu->period_s / 2, whole = (double)(long long)(at_s / gpu->period_s);
    double into_s = at_s - whole * gpu->period_s;
    double high_s = into_s < half_s ? into_s : half_s;
    return whole * half_s * (gpu->watts + gpu->low) + high_s * gpu->watts + (into_s - high_s) * gpu->low;
}

/* A handle is 1 + the board's number, or 1000 × (1 + the number of the slice) + the number of its board. */
static int find(const void *handle, Gpu *gpu) {
    size_t number = (size_t)handle;
    if (!initialised) return UNINITIALIZED;
    Machine m = machine();
    size_t index = number >= SLICE ? number % SLICE : number - BOARD;
    if (number < BOARD || index >= (size_t)m.count) return INVALID;
    *gpu = m.gpus[index];
    return gpu->dead == 1 ? LOST : gpu->dead;
}

static int is_slice(const void *handle) { return (size_t)handle >= SLICE; }

/* Copies the UUID of a board's slice; returns 0 where there is no such slice. */
static int slice_of(const Gpu *gpu, unsigned index, char *text, size_t size) {
    const char *start = gpu->mig;
    for (; index && start; index--) {
        start = strchr(start, ',');
        if (start) start++;
    }
    if (!start || !*start) return 0;
    snprintf(text, size, "%.*s", (int)strcspn(start, ","), start);
    return 1;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = machine().init;
    if (code == OK) initialised = 1;
    return code;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
        case OK: return "Success";
        case UNINITIALIZED: return "Uninitialized";
        case INVALID: return "Invalid Argument";
        case NOT_SUPPORTED: return "Not Supported";
        case NOT_FOUND: return "Not Found";
        case TOO_SMALL: return "Insufficient Size";
        case 9: return "Driver Not Loaded";
        case LOST: return "GPU is lost";
        default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    if (!initialised) return UNINITIALIZED;
    snprintf(text, size, "%s", machine().driver);
    return OK;
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    if (!initialised) return UNINITIALIZED;
    *version = machine().cuda;
    return OK;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!initialised) return UNINITIALIZED;
    *count = (unsigned)machine().count;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    Gpu gpu;
    *handle = (void *)(size_t)(index + BOARD);
    return find(*handle, &gpu);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    if (!initialised) return UNINITIALIZED;
    Machine m = machine();
    for (int i = 0; i < m.count; i++)
        if (!strcmp(uuid, m.gpus[i].uuid)) {
            *handle = (void *)(size_t)(i + BOARD);
            return m.gpus[i].dead == 1 ? LOST : m.gpus[i].dead;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code != OK) return code;
    if (is_slice(handle)) return slice_of(&gpu, (unsigned)((size_t)handle / SLICE - 1), text, size) ? OK : NOT_FOUND;
    snprintf(text, size, "%s", gpu.uuid);
    return OK;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) snprintf(text, size, "%s", gpu.name);
    return code;
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *memory) { /* total, free, used */
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) {
        memory[0] = is_slice(handle) ? gpu.memory / 8 : gpu.memory;
        memory[1] = memory[0];
        memory[2] = 0;
    }
    return code;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) *milliwatts = (unsigned)(watts_at(&gpu, now_s()) * 1000);
    return code;
}
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) {
    return nvmlDeviceGetPowerUsage(handle, milliwatts);
}

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code != OK) return code;
    if (!gpu.counter || is_slice(handle)) return NOT_SUPPORTED;
    double at_s = now_s();
    if (gpu.update_ms) at_s = (double)(long long)(at_s * 1000 / gpu.update_ms) * gpu.update_ms / 1000;
    *millijoules = (unsigned long long)(joules_at(&gpu, at_s) * 1000 + gpu.offset_mj);
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) { /* gpu, memory: per cent */
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) rates[0] = rates[1] = 50;
    return code;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) {
    Gpu gpu;
    (void)sensor;
    int code = find(handle, &gpu);
    if (code == OK) *degrees = 50;
    return code;
}

int nvmlDeviceGetComputeMode(void *handle, int *mode) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) *mode = 0;
    return code;
}

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} Process;

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *processes) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code != OK) return code;
    unsigned room = *count;
    *count = (unsigned)gpu.processes;
    if (!gpu.processes) return OK;
    if (!processes || room < *count) return TOO_SMALL;
    for (unsigned i = 0; i < *count; i++) processes[i] = (Process){1000 + i, 1 << 20, 0, 0};
    return OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, Process *processes) {
    Gpu gpu;
    (void)processes;
    *count = 0;
    return find(handle, &gpu);
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code == OK) *count = 7;
    return code;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **slice) {
    Gpu gpu;
    int code = find(handle, &gpu);
    if (code != OK) return code;
    char uuid[96];
    if (!slice_of(&gpu, index, uuid, sizeof uuid)) return NOT_FOUND;
    *slice = (void *)((size_t)handle - BOARD + SLICE * (size_t)(index + 1));
    return OK;
}

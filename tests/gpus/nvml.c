/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for libnvidia-ml.so.1, so that nvidia-ml-py itself can be run where there is no GPU.
 * It answers what the file /etc/condafleet-gpus (or $CONDAFLEET_GPUS) says, line by line `FIELD=VALUE` for all GPUs or
 * `INDEX.FIELD=VALUE` for one; what is not in the file, or named by `unsupported=FIELD`, is not supported. Everything it says
 * is synthetic. Signatures: NVIDIA's NVML API reference. `hang=1` makes it sleep in nvmlInit, as a sick driver does;
 * `hang=PATH` looks at PATH there: a file system that never answers (dead_mount.py) makes that sleep one that no signal
 * ends. `fail=CODE` ends nvmlInit with that error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn_t;
typedef struct { int index; } device;
typedef device *nvmlDevice_t;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };

static device devices[64];

static const char *path(void) {
    const char *named = getenv("CONDAFLEET_GPUS");
    return named ? named : "/etc/condafleet-gpus";
}

/* The text of a field: that of this GPU, else that of all. 0 where there is none. */
static int text(int index, const char *field, char *out, size_t size) {
    FILE *file = fopen(path(), "r");
    char line[512], own[160];
    int found = 0;
    if (!file)
        return 0;
    snprintf(own, sizeof own, "%d.%s", index, field);
    while (fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        if (!equals || line[0] == '#')
            continue;
        *equals = 0;
        equals[strcspn(equals + 1, "\n") + 1] = 0;
        int mine = index >= 0 && !strcmp(line, own);
        if (mine || (!strcmp(line, field) && found < 2)) {
            snprintf(out, size, "%s", equals + 1);
            found = mine ? 2 : 1;
        }
    }
    fclose(file);
    return found;
}

static int number(int index, const char *field, long long *out) {
    char value[256];
    if (!text(index, field, value, sizeof value))
        return 0;
    *out = strtoll(value, NULL, 0);
    return 1;
}

static nvmlReturn_t as_uint(nvmlDevice_t one, const char *field, unsigned int *out) {
    long long value;
    char lacks[64];
    if (number(one->index, "lost", &value) && value)
        return GPU_IS_LOST;
    if (text(one->index, "unsupported", lacks, sizeof lacks) && !strcmp(lacks, field))
        return NOT_SUPPORTED;
    if (!number(one->index, field, &value))
        return NOT_SUPPORTED;
    *out = (unsigned int)value;
    return SUCCESS;
}

static nvmlReturn_t as_text(nvmlDevice_t one, const char *field, char *out, unsigned int size) {
    long long lost;
    if (number(one->index, "lost", &lost) && lost)
        return GPU_IS_LOST;
    return text(one->index, field, out, size) ? SUCCESS : NOT_SUPPORTED;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    long long hang, fail;
    char where[256];
    (void)flags;
    while (number(-1, "hang", &hang) && hang)
        sleep(1);
    if (text(-1, "hang", where, sizeof where) && where[0] == '/')
        access(where, R_OK);
    if (number(-1, "fail", &fail) && fail)
        return (nvmlReturn_t)fail;
    return access(path(), R_OK) ? 9 /* NVML_ERROR_DRIVER_NOT_LOADED */ : SUCCESS;
}
nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
nvmlReturn_t nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case SUCCESS: return "Success";
    case NOT_SUPPORTED: return "Not Supported";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case 12: return "NVML Shared Library Not Found";
    case GPU_IS_LOST: return "GPU is lost";
    case 9: return "Driver Not Loaded";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *out, unsigned int size) {
    return text(-1, "driver", out, size) ? SUCCESS : NOT_SUPPORTED;
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    long long value;
    /* `libcuda=0` is a container that has NVML alone. */
    if (number(-1, "libcuda", &value) && !value)
        return 12 /* NVML_ERROR_LIBRARY_NOT_FOUND */;
    if (!number(-1, "cuda", &value))
        return NOT_SUPPORTED;
    *out = (int)value;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *out) {
    long long value = 0;
    number(-1, "count", &value);
    *out = (unsigned int)value;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *out) {
    if (index >= 64)
        return INVALID_ARGUMENT;
    devices[index].index = (int)index;
    *out = &devices[index];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t one, char *out, unsigned int size) { return as_text(one, "uuid", out, size); }
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t one, char *out, unsigned int size) { return as_text(one, "name", out, size); }
nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t one, char *out, unsigned int size) { return as_text(one, "serial", out, size); }
nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t one, char *out, unsigned int size) { return as_text(one, "vbios", out, size); }

typedef struct {
    char busIdLegacy[16];
    unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} pci_info;
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t one, pci_info *out) {
    memset(out, 0, sizeof *out);
    return as_text(one, "bus_id", out->busId, sizeof out->busId);
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t one, unsigned int *now, unsigned int *then) {
    nvmlReturn_t code = as_uint(one, "ecc", now);
    *then = *now;
    return code;
}
nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t one, int kind, int counter, unsigned long long *out) {
    unsigned int value = 0;
    nvmlReturn_t code = as_uint(one, kind == 1 && counter == 0 ? "ecc_uncorrected" : "ecc_other", &value);
    *out = value;
    return code;
}
nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t one, unsigned int *a, unsigned int *b, unsigned int *c, unsigned int *d) {
    nvmlReturn_t code = as_uint(one, "remaps_correctable", a);
    if (code == SUCCESS) code = as_uint(one, "remaps_uncorrectable", b);
    if (code == SUCCESS) code = as_uint(one, "remaps_pending", c);
    if (code == SUCCESS) code = as_uint(one, "remaps_failure", d);
    return code;
}

#define UINT(function, field) \
    nvmlReturn_t function(nvmlDevice_t one, unsigned int *out) { return as_uint(one, field, out); }
#define UINT_OF(function, field) \
    nvmlReturn_t function(nvmlDevice_t one, int kind, unsigned int *out) { (void)kind; return as_uint(one, field, out); }
UINT(nvmlDeviceGetDefaultEccMode, "ecc_default")
UINT(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")
UINT(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
UINT(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_most")
UINT(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
UINT(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_most")
UINT(nvmlDeviceGetPcieReplayCounter, "pcie_replays")
UINT(nvmlDeviceGetPersistenceMode, "persistence")
UINT_OF(nvmlDeviceGetTemperature, "temperature")
UINT_OF(nvmlDeviceGetTemperatureThreshold, "slowdown")
/* `margin` and `slowdown_margin` (from the limit, in °C) are what newer GPUs tell instead of `slowdown`. */
typedef struct { unsigned int version; int degrees; } margin;
nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t one, margin *out) {
    return as_uint(one, "margin", (unsigned int *)&out->degrees);
}
UINT(nvmlDeviceGetPowerUsage, "power")
UINT(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
UINT(nvmlDeviceGetPowerManagementDefaultLimit, "power_default")
UINT_OF(nvmlDeviceGetClockInfo, "clock")
UINT_OF(nvmlDeviceGetMaxClockInfo, "clock_most")
UINT_OF(nvmlDeviceGetApplicationsClock, "clock_set")
UINT_OF(nvmlDeviceGetDefaultApplicationsClock, "clock_default")
UINT(nvmlDeviceGetPerformanceState, "pstate")

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t one, unsigned int *now, unsigned int *then) {
    nvmlReturn_t code = as_uint(one, "mig", now);
    *then = *now;
    return code;
}
static nvmlReturn_t reasons(nvmlDevice_t one, unsigned long long *out) {
    unsigned int value = 0;
    nvmlReturn_t code = as_uint(one, "reasons", &value);
    *out = value;
    return code;
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t one, unsigned long long *out) { return reasons(one, out); }
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t one, unsigned long long *out) { return reasons(one, out); }

/* Nanoseconds since the driver was loaded, which only heat (policy 1) counts; `clock` for a GPU that is slowed down all the
 * time. */
typedef struct { unsigned long long reference, violation; } violation_time;
nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t one, int policy, violation_time *out) {
    char said[32];
    unsigned int value = 0;
    struct timespec now;
    nvmlReturn_t code = as_uint(one, policy == 1 ? "thermal_violation" : "other_violation", &value);
    out->reference = 0;
    out->violation = value;
    if (code == SUCCESS && text(one->index, "thermal_violation", said, sizeof said) && !strcmp(said, "clock")) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        out->violation = 1000000000ULL * (unsigned long long)now.tv_sec + (unsigned long long)now.tv_nsec;
    }
    return code;
}

typedef struct { unsigned int gpu, memory; } utilization;
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t one, utilization *out) {
    out->memory = 0;
    return as_uint(one, "utilization", &out->gpu);
}
typedef struct { unsigned long long total, free, used; } memory;
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t one, memory *out) {
    long long total, used;
    if (!number(one->index, "memory_total", &total) || !number(one->index, "memory_used", &used))
        return NOT_SUPPORTED;
    out->total = (unsigned long long)total;
    out->used = (unsigned long long)used;
    out->free = out->total - out->used;
    return SUCCESS;
}

/* `processes=PID PID …`, empty for none. */
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } process;
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t one, unsigned int *count, process *out) {
    char value[256], *word, *rest;
    unsigned int pids[32], found = 0, room = *count;
    if (!text(one->index, "processes", value, sizeof value))
        return NOT_SUPPORTED;
    for (word = strtok_r(value, " ", &rest); word && found < 32; word = strtok_r(NULL, " ", &rest))
        pids[found++] = (unsigned int)atoi(word);
    *count = found;
    if (found > room)
        return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < found; i++)
        out[i] = (process){pids[i], 1 << 20, 0xffffffff, 0xffffffff};
    return SUCCESS;
}

/* `nvlinks=18`, `nvlink3=0` for one that is down, `nvlink3_replay=7` for one with errors. */
nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t one, unsigned int link, unsigned int *out) {
    long long links = 0, state = 1;
    long long lost = 0;
    char field[32];
    number(one->index, "lost", &lost);
    if (lost)
        return GPU_IS_LOST;
    number(one->index, "nvlinks", &links);
    if (link >= links)
        return links ? INVALID_ARGUMENT : NOT_SUPPORTED;
    snprintf(field, sizeof field, "nvlink%u", link);
    /* `nvlink3=absent` for one that a model of fewer links does not have. */
    char said[64];
    if (text(one->index, field, said, sizeof said) && !strcmp(said, "absent"))
        return NOT_SUPPORTED;
    number(one->index, field, &state);
    *out = (unsigned int)state;
    return SUCCESS;
}
nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t one, unsigned int link, int counter, unsigned long long *out) {
    static const char *names[] = {"replay", "recovery", "crc_flit", "crc_data"};
    long long value = 0;
    char field[48];
    /* `nvlink_counters=CODE` is what newer generations of NVLink answer. */
    if (number(one->index, "nvlink_counters", &value) && value)
        return (nvmlReturn_t)value;
    if (counter < 0 || counter > 3)
        return NOT_SUPPORTED;
    snprintf(field, sizeof field, "nvlink%u_%s", link, names[counter]);
    number(one->index, field, &value);
    *out = (unsigned long long)value;
    return SUCCESS;
}

typedef union { double d; int si; unsigned int ui; unsigned long ul; unsigned long long ull; long long sll; unsigned short us; } value;
typedef struct { unsigned int id, scope; long long when, latency; int type; nvmlReturn_t code; value value; } field_value;
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t one, int count, field_value *out) {
    for (int i = 0; i < count; i++) {
        out[i].type = 1; /* unsigned int */
        out[i].code = out[i].id == 230   ? as_uint(one, "recovery", &out[i].value.ui)
                      : out[i].id == 194 ? as_uint(one, "slowdown_margin", &out[i].value.ui)
                                         : NOT_SUPPORTED;
        /* A driver that is older than a field does not know its number. */
        long long older = 0;
        if (number(one->index, "older_than_fields", &older) && older)
            out[i].code = INVALID_ARGUMENT;
    }
    return SUCCESS;
}

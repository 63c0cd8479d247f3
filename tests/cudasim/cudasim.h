/* Exported by the simulated libcuda.so.1 beside the driver's own names: what a test asks for and injects. */
#ifndef CUDASIM_H
#define CUDASIM_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Calls of an entry point since the start or the last reset; the exact symbol ("cuMemcpyDtoHAsync_v2"). */
uint64_t cudasim_call_count(const char* symbol);
/* Calls of all entry points of all simulated libraries. */
uint64_t cudasim_total_call_count(void);
void cudasim_reset_call_counts(void);
/* Symbols called, one "symbol count" per line; returns the length needed, without the final zero. */
size_t cudasim_call_report(char* text, size_t capacity);

/* Device memory and handles that are live now. */
uint64_t cudasim_live_allocations(void);
uint64_t cudasim_live_bytes(void);
uint64_t cudasim_peak_bytes(void);
/* kind: "stream", "event", "module", "graph", "graphexec", "host", "cufft plan", "cublas", "cudnn", "cudnn
 * descriptor"... */
int64_t cudasim_live_handles(const char* kind);
/* One line per live allocation and kind of handle; empty when nothing is left. */
size_t cudasim_leak_report(char* text, size_t capacity);

/* The n-th allocation (1 = next) fails with out of memory; 0 switches it off. Device, pool, pinned and library memory,
 * and what contexts, pools, streams, events, modules and executable graphs take for themselves. */
void cudasim_fail_allocation(int64_t n);
/* The n-th kernel launch or library operation (1 = next) faults on the device (719, sticky); 0 switches it off. */
void cudasim_fail_launch(int64_t n);
/* The n-th operation that a stream records from now on (1 = next) cannot be captured: 900, and the capture is invalid; 0
 * switches it off. */
void cudasim_refuse_capture(int64_t n);
/* The device is gone from now on: every call returns 46 until cudasim_reset. */
void cudasim_lose_device(void);
/* Back to the state after loading: nothing allocated, no handles, nothing injected, not lost. */
void cudasim_reset(void);

/* Text of the last fault or complaint; returns the length needed. */
size_t cudasim_last_fault(char* text, size_t capacity);
/* PTX instructions executed, counted per thread, and kernels launched. */
uint64_t cudasim_instructions(void);
uint64_t cudasim_kernel_launches(void);
uint64_t cudasim_profiler_starts(void);
uint64_t cudasim_profiler_stops(void);

#ifdef __cplusplus
}
#endif
#endif

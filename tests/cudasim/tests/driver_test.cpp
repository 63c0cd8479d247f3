// The driver API and the interpreter: each fault provoked once, kernels against plain loops, the rules of capture and
// streams.
#include <chrono>
#include <functional>

#include "harness.h"

using namespace harness;
using Pointer = uint64_t;
using Handle = void*;

namespace {

void* cuda = nullptr;

template <typename R, typename... A>
R (*find(const char* name, R (*)(A...)))
(A...) {
  return reinterpret_cast<R (*)(A...)>(symbol(cuda, name));
}
#define DRIVER(name, ...) int (*name)(__VA_ARGS__) = nullptr
DRIVER(cuInit, unsigned);
DRIVER(cuDevicePrimaryCtxRetain, Handle*, int);
DRIVER(cuDevicePrimaryCtxRelease_v2, int);
DRIVER(cuDevicePrimaryCtxReset_v2, int);
DRIVER(cuCtxSetCurrent, Handle);
int (*cuCtxSynchronize)() = nullptr;
DRIVER(cuMemAlloc_v2, Pointer*, size_t);
DRIVER(cuMemFree_v2, Pointer);
DRIVER(cuMemAllocAsync, Pointer*, size_t, Handle);
DRIVER(cuMemFreeAsync, Pointer, Handle);
DRIVER(cuMemHostAlloc, void**, size_t, unsigned);
DRIVER(cuMemFreeHost, void*);
DRIVER(cuMemcpyHtoD_v2, Pointer, const void*, size_t);
DRIVER(cuMemcpyDtoH_v2, void*, Pointer, size_t);
DRIVER(cuMemcpyDtoDAsync_v2, Pointer, Pointer, size_t, Handle);
DRIVER(cuMemsetD32Async, Pointer, unsigned, size_t, Handle);
DRIVER(cuMemsetD8_v2, Pointer, unsigned char, size_t);
DRIVER(cuMemcpy2DAsync_v2, const void*, Handle);
DRIVER(cuStreamCreate, Handle*, unsigned);
DRIVER(cuStreamDestroy_v2, Handle);
DRIVER(cuStreamSynchronize, Handle);
DRIVER(cuStreamBeginCapture_v2, Handle, int);
DRIVER(cuStreamEndCapture, Handle, Handle*);
DRIVER(cuThreadExchangeStreamCaptureMode, int*);
DRIVER(cuStreamWaitEvent, Handle, Handle, unsigned);
DRIVER(cuEventCreate, Handle*, unsigned);
DRIVER(cuEventRecord, Handle, Handle);
DRIVER(cuEventQuery, Handle);
DRIVER(cuEventElapsedTime, float*, Handle, Handle);
DRIVER(cuEventDestroy_v2, Handle);
DRIVER(cuGraphInstantiateWithFlags, Handle*, Handle, uint64_t);
DRIVER(cuGraphLaunch, Handle, Handle);
DRIVER(cuGraphDestroy, Handle);
DRIVER(cuGraphExecDestroy, Handle);
DRIVER(cuModuleLoadDataEx, Handle*, const void*, unsigned, int*, void**);
DRIVER(cuModuleUnload, Handle);
DRIVER(cuModuleGetFunction, Handle*, Handle, const char*);
DRIVER(cuModuleGetGlobal_v2, Pointer*, size_t*, Handle, const char*);
DRIVER(cuFuncSetAttribute, Handle, int, int);
DRIVER(cuFuncGetAttribute, int*, int, Handle);
DRIVER(cuLaunchKernel, Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void**,
       void**);
DRIVER(cuGetErrorName, int, const char**);
int (*cuMemAlloc)() = nullptr;
DRIVER(cuGetProcAddress_v2, const char*, void**, int, uint64_t, int*);
DRIVER(cuLaunchHostFunc, Handle, void (*)(void*), void*);
uint64_t (*cudasim_call_count)(const char*) = nullptr;
uint64_t (*cudasim_live_allocations)() = nullptr;
int64_t (*cudasim_live_handles)(const char*) = nullptr;
void (*cudasim_fail_allocation)(int64_t) = nullptr;
void (*cudasim_fail_launch)(int64_t) = nullptr;
void (*cudasim_lose_device)() = nullptr;
void (*cudasim_reset)() = nullptr;
size_t (*cudasim_last_fault)(char*, size_t) = nullptr;
size_t (*cudasim_leak_report)(char*, size_t) = nullptr;
uint64_t (*cudasim_instructions)() = nullptr;

void bind() {
  cuda = open_library("libcuda.so.1");
#define BIND(name) name = find(#name, name)
  BIND(cuInit);
  BIND(cuDevicePrimaryCtxRetain);
  BIND(cuDevicePrimaryCtxRelease_v2);
  BIND(cuDevicePrimaryCtxReset_v2);
  BIND(cuCtxSetCurrent);
  BIND(cuCtxSynchronize);
  BIND(cuMemAlloc_v2);
  BIND(cuMemFree_v2);
  BIND(cuMemAllocAsync);
  BIND(cuMemFreeAsync);
  BIND(cuMemHostAlloc);
  BIND(cuMemFreeHost);
  BIND(cuMemcpyHtoD_v2);
  BIND(cuMemcpyDtoH_v2);
  BIND(cuMemcpyDtoDAsync_v2);
  BIND(cuMemsetD32Async);
  BIND(cuMemsetD8_v2);
  BIND(cuMemcpy2DAsync_v2);
  BIND(cuStreamCreate);
  BIND(cuStreamDestroy_v2);
  BIND(cuStreamSynchronize);
  BIND(cuStreamBeginCapture_v2);
  BIND(cuStreamEndCapture);
  BIND(cuThreadExchangeStreamCaptureMode);
  BIND(cuStreamWaitEvent);
  BIND(cuEventCreate);
  BIND(cuEventRecord);
  BIND(cuEventQuery);
  BIND(cuEventElapsedTime);
  BIND(cuEventDestroy_v2);
  BIND(cuGraphInstantiateWithFlags);
  BIND(cuGraphLaunch);
  BIND(cuGraphDestroy);
  BIND(cuGraphExecDestroy);
  BIND(cuModuleLoadDataEx);
  BIND(cuModuleUnload);
  BIND(cuModuleGetFunction);
  BIND(cuModuleGetGlobal_v2);
  BIND(cuFuncSetAttribute);
  BIND(cuFuncGetAttribute);
  BIND(cuLaunchKernel);
  BIND(cuGetErrorName);
  BIND(cuMemAlloc);
  BIND(cuGetProcAddress_v2);
  BIND(cuLaunchHostFunc);
  BIND(cudasim_call_count);
  BIND(cudasim_live_allocations);
  BIND(cudasim_live_handles);
  BIND(cudasim_fail_allocation);
  BIND(cudasim_fail_launch);
  BIND(cudasim_lose_device);
  BIND(cudasim_reset);
  BIND(cudasim_last_fault);
  BIND(cudasim_leak_report);
  BIND(cudasim_instructions);
}

std::string last_fault() {
  char text[2048];
  cudasim_last_fault(text, sizeof text);
  return text;
}

void start() {
  cudasim_reset();
  Handle context = nullptr;
  CHECK_EQUAL(cuInit(0), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
  CHECK_EQUAL(cuCtxSetCurrent(context), 0);
}

const char* const kHead = ".version 7.8\n.target sm_90\n.address_size 64\n";

int load(const std::string& body, Handle* module, std::string* log = nullptr) {
  char buffer[1024] = "";
  int options[] = {5, 6};
  void* values[] = {buffer, reinterpret_cast<void*>(sizeof buffer)};
  int status = cuModuleLoadDataEx(module, (kHead + body).c_str(), 2, options, values);
  if (log != nullptr) *log = buffer;
  return status;
}

struct Kernel {
  Handle module = nullptr;
  Handle function = nullptr;
  Kernel(const std::string& body, const char* name) {
    std::string log;
    CHECK_EQUAL(load(body, &module, &log), 0);
    if (module == nullptr) std::printf("%s\n", log.c_str());
    if (module != nullptr) CHECK_EQUAL(cuModuleGetFunction(&function, module, name), 0);
  }
  template <typename... A>
  int run(unsigned grid, unsigned block, unsigned shared, A... arguments) {
    void* parameters[] = {&arguments..., nullptr};
    return cuLaunchKernel(function, grid, 1, 1, block, 1, 1, shared, nullptr, parameters, nullptr);
  }
};

template <typename T>
struct Buffer {
  Pointer address = 0;
  size_t count;
  explicit Buffer(size_t n) : count(n) { CHECK_EQUAL(cuMemAlloc_v2(&address, n * sizeof(T)), 0); }
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    CHECK_EQUAL(cuMemcpyHtoD_v2(address, v.data(), count * sizeof(T)), 0);
  }
  std::vector<T> read() {
    std::vector<T> v(count);
    CHECK_EQUAL(cuMemcpyDtoH_v2(v.data(), address, count * sizeof(T)), 0);
    return v;
  }
};

// A kernel of one parameter (a pointer to 64 floats, written) with this body must fault with that status and text.
void faults(const std::string& declarations, const std::string& code, int status, const std::string& text,
            unsigned threads = 32) {
  start();
  Kernel k(declarations +
               ".visible .entry victim(.param .u64 p)\n{\n.reg .pred %p<4>;\n.reg .b32 %r<16>;\n.reg .b64 "
               "%rd<8>;\n.reg .f32 %f<8>;\n"
               ".shared .align 16 .b8 tile[256];\n.local .align 8 .b8 own[32];\n"
               "ld.param.u64 %rd0, [p];\ncvta.to.global.u64 %rd0, %rd0;\nmov.u32 %r0, %tid.x;\n" +
               code + "\nret;\n}\n",
           "victim");
  if (k.function == nullptr) return;
  Buffer<float> b(std::vector<float>(64, 1.0f));
  CHECK_EQUAL(k.run(1, threads, 0, b.address), 0);
  int got = cuCtxSynchronize();
  check(got == status, __FILE__, __LINE__,
        "'" + code + "' gave " + std::to_string(got) + ", not " + std::to_string(status) + ": " + last_fault());
  CHECK_CONTAINS(last_fault(), text);
  if (status != 0) {
    CHECK_CONTAINS(last_fault(), std::string("kernel 'victim', line"));
    Pointer p = 0;
    CHECK_EQUAL(cuMemAlloc_v2(&p, 16), status);  // sticky
    CHECK_EQUAL(cuDevicePrimaryCtxReset_v2(0), 0);
    CHECK_EQUAL(cuMemAlloc_v2(&p, 16), 0);
  }
}

void refused(const std::string& code, const std::string& text, int line = 0) {
  start();
  Handle module = nullptr;
  std::string log;
  CHECK_EQUAL(load(".visible .entry bad(.param .u64 p)\n{\n.reg .pred %p<4>;\n.reg .b16 %h<4>;\n.reg .b32 %r<8>;\n.reg "
                   ".b64 %rd<4>;\n.reg .f32 %f<4>;\n" +
                       code + "\nret;\n}\n",
                   &module, &log),
              218);
  CHECK_CONTAINS(log, text);
  CHECK_CONTAINS(log, "line " + std::to_string(line == 0 ? 11 : line));
}

void test_faults() {
  faults("", "ld.global.f32 %f0, [%rd0+256];", 700, "beyond the end of an allocation of 256 bytes");
  faults("", "ld.global.f32 %f0, [%rd0+-4];", 700, "4 bytes before an allocation");
  faults("", "mov.f32 %f0, 0f00000000;\nst.global.f32 [%rd0+254], %f0;", 716, "not a multiple of 4");
  faults("", "ld.global.v4.f32 {%f0,%f1,%f2,%f3}, [%rd0+8];", 716, "not a multiple of 16");
  faults("", "mov.u64 %rd1, 0;\nld.global.f32 %f0, [%rd1];", 700, "no allocation");
  faults("", "add.f32 %f0, %f1, %f1;", 719, "register '%f1' is read before anything wrote it");
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 mov.u32 %r1, 1;\nadd.u32 %r2, %r1, 1;", 719,
         "thread (4,0,0): register '%r1'");
  faults("", "@%p1 mov.u32 %r1, 1;", 719, "register '%p1'");
  faults("", "mov.u32 %r1, tile;\nld.shared.f32 %f0, [%r1];", 719, "which nothing wrote");
  faults("", "ld.local.u32 %r1, [own+8];", 719, "reads local byte 8");
  faults("", "mov.u32 %r1, 0;\nld.local.u32 %r1, [%r1+32];", 700, "local offset 32");
  faults("", "mov.u32 %r1, tile;\nst.shared.u32 [%r1+256], %r0;", 700, "the block has 256 bytes");
  faults("", "mov.u32 %r1, 0;\nst.shared.u32 [%r1], %r0;", 700, "shared offset");
  // races: another thread's byte without a barrier between, across warps and inside one
  faults("", "mov.u32 %r1, tile;\nst.shared.u32 [%r1], %r0;", 719, "race: writes shared byte 0 that thread 0 wrote");
  faults("",
         "shl.b32 %r2, %r0, 2;\nmov.u32 %r1, tile;\nadd.u32 %r2, %r2, %r1;\nst.shared.u32 [%r2], %r0;\nld.shared.u32 "
         "%r3, [%r1];",
         719, "race: reads shared byte 0 that thread 0 wrote");
  faults("",
         "shl.b32 %r2, %r0, 2;\nmov.u32 %r1, tile;\nadd.u32 %r2, %r2, %r1;\nst.shared.u32 [%r2], %r0;\nbar.warp.sync "
         "0xffffffff;\nld.shared.u32 %r3, [%r1];",
         0, "");
  faults("",
         "shl.b32 %r2, %r0, 2;\nmov.u32 %r1, tile;\nadd.u32 %r2, %r2, %r1;\nst.shared.u32 [%r2], %r0;\nbar.warp.sync "
         "0xffffffff;\nld.shared.u32 %r3, [%r1];",
         719, "race: reads shared byte 0 that thread 0 wrote", 64);
  faults("",
         "shl.b32 %r2, %r0, 2;\nmov.u32 %r1, tile;\nadd.u32 %r2, %r2, %r1;\nst.shared.u32 [%r2], %r0;\nbar.sync "
         "0;\nld.shared.u32 %r3, [%r1];\n"
         "st.shared.u32 [%r2], %r3;",
         719, "race: writes shared byte 0 that thread", 64);
  // barriers
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 bar.sync 0;", 719, "divergent barrier: its guard");
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 bra L;\nbar.sync 0;\nL:", 719, "divergent barrier: lanes 0,1,2,3");
  faults("", "setp.lt.u32 %p0, %r0, 32;\n@%p0 bra L;\nbar.sync 0;\nL:", 719, "divergent barrier: warps 0 have exited",
         64);
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 exit;\nbar.sync 0;", 719,
         "divergent barrier: lanes 0,1,2,3 of the warp have exited");
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 bra L;\nmov.u32 %r1, 1;\nbra M;\nL:\nmov.u32 %r1, 2;\nM:\nbar.sync 0;", 0,
         "");
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 bra.uni L;\nL:", 719, "bra.uni diverges");
  // warp-wide instructions
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@%p0 shfl.sync.bfly.b32 %r1, %r0, 1, 31, 0xffffffff;", 719,
         "divergent warp-wide instruction");
  faults("", "mov.u32 %r2, 3;\nshfl.sync.idx.b32 %r1, %r0, 0, 31, %r2;", 719, "its own member mask leaves out");
  faults("", "setp.lt.u32 %p0, %r0, 4;\n@!%p0 bra L;\nshfl.sync.idx.b32 %r1, %r0, 5, 31, 0xf;\nL:", 719,
         "shfl from lane 5");
  faults("", "mov.u32 %r2, 0;\ndiv.u32 %r1, %r0, %r2;", 719, "division by zero");
  faults("", "trap;", 719, "trap");
  faults("", "mov.u64 %rd1, own;\ncvta.local.u64 %rd1, %rd1;\ncvta.to.global.u64 %rd1, %rd1;", 700,
         "another state space");
  faults(".global .align 4 .b32 table[2] = {5, 6};\n", "mov.u64 %rd1, table;\nld.global.u32 %r1, [%rd1+8];", 700,
         "beyond the end of an allocation of 8 bytes (module variable of table)");
}

void test_parse_errors() {
  refused("frobnicate.u32 %r1, %r2;", "unknown instruction 'frobnicate'");
  refused("add.u32 %r1, %r2;", "'add' with 2 operands");
  refused("add.u32 %r1, %r2, %q;", "'%q' is not declared");
  refused("add.f32 %r1, %rd2, %f1;", "'%rd2' is a register of type .b64 where .f32");
  refused("add.wonder.u32 %r1, %r2, %r3;", "'.wonder' is not known on 'add'");
  refused("mul.u32 %r1, %r2, %r3;", "needs .lo, .hi or .wide");
  refused("fma.f32 %f1, %f2, %f3, %f1;", "needs a rounding modifier");
  refused("cvt.s32.f32 %r1, %f2;", "needs .rni");
  refused("cvt.f32.s32 %f1, %r2;", "needs .rn");
  refused("bra nowhere;", "label 'nowhere' does not exist");
  refused("ld.param.u64 %rd1, [p+4];", "access to 8 bytes at offset 4 of 'p'");
  refused("ld.param.u64 %rd1, [q];", "'q' is not declared");
  refused("add.f32 %f1, %f2, 1;", "an integer literal");
  refused("mov.u32 %r1, 0x1ffffffff;", "does not fit");
  refused("add.u32 %r1 %r2, 1;", "';' expected");
  refused("ld.global.u32 %r1, [%r2];", "64 bits");
  start();
  Handle module = nullptr;
  CHECK_EQUAL(cuModuleLoadDataEx(&module, ".version 9.9\n.target sm_90\n.address_size 64\n", 0, nullptr, nullptr), 222);
  CHECK_EQUAL(cuModuleLoadDataEx(&module, ".version 8.0\n.target sm_100\n.address_size 64\n", 0, nullptr, nullptr),
              218);
  CHECK_EQUAL(cuModuleLoadDataEx(&module,
                                 "\x7f"
                                 "ELF....",
                                 0, nullptr, nullptr),
              209);
}

void test_saxpy() {
  start();
  Kernel k(R"(
.visible .entry saxpy(.param .u64 y, .param .u64 x, .param .f32 a, .param .u32 n)
.maxntid 128, 1, 1
{
  .reg .pred %p;
  .reg .b32 %i, %n, %step, %t;
  .reg .b64 %y, %x, %o;
  .reg .f32 %a, %u, %v;
  ld.param.u64 %y, [y];
  ld.param.u64 %x, [x];
  ld.param.f32 %a, [a];
  ld.param.u32 %n, [n];
  cvta.to.global.u64 %y, %y;
  cvta.to.global.u64 %x, %x;
  mov.u32 %i, %ctaid.x;
  mov.u32 %step, %ntid.x;
  mov.u32 %t, %tid.x;
  mad.lo.u32 %i, %i, %step, %t;
  mov.u32 %t, %nctaid.x;
  mul.lo.u32 %step, %step, %t;
LOOP:
  setp.ge.u32 %p, %i, %n;
  @%p bra DONE;
  mul.wide.u32 %o, %i, 4;
  add.u64 %o, %o, %x;
  ld.global.nc.f32 %u, [%o];
  sub.u64 %o, %o, %x;
  add.u64 %o, %o, %y;
  ld.global.f32 %v, [%o];
  fma.rn.f32 %v, %a, %u, %v;
  st.global.f32 [%o], %v;
  add.u32 %i, %i, %step;
  bra LOOP;
DONE:
  ret;
}
)",
           "saxpy");
  const unsigned n = 1003;
  std::vector<float> x(n), y(n);
  for (unsigned i = 0; i < n; ++i) x[i] = uniform(), y[i] = uniform();
  Buffer<float> dx(x), dy(y);
  CHECK_EQUAL(k.run(3, 96, 0, dy.address, dx.address, 1.5f, n), 0);
  std::vector<float> got = dy.read();
  bool same = true;
  for (unsigned i = 0; i < n; ++i) same = same && got[i] == std::fma(1.5f, x[i], y[i]);
  CHECK(same);                                                        // fma.rn rounds once, as the oracle does
  CHECK_EQUAL(k.run(1, 160, 0, dy.address, dx.address, 1.5f, n), 1);  // .maxntid
  CHECK_EQUAL(cuCtxSynchronize(), 0);
}

void test_reduction() {
  start();
  // Sum of a block: shuffles inside warps, shared memory across them, dynamic shared memory behind the static.
  Kernel k(R"(
.extern .shared .align 16 .b8 dynamic[];
.visible .entry total(.param .u64 out, .param .u64 x, .param .u32 n)
.reqntid 128, 1, 1
{
  .reg .pred %p, %q;
  .reg .b32 %i, %n, %t, %lane, %warp, %s, %u;
  .reg .b64 %out, %x, %o;
  .reg .f32 %v, %w;
  .shared .align 4 .f32 parts[4];
  ld.param.u64 %out, [out];
  ld.param.u64 %x, [x];
  ld.param.u32 %n, [n];
  mov.u32 %t, %tid.x;
  mov.u32 %i, %t;
  mov.f32 %v, 0f00000000;
NEXT:
  setp.ge.u32 %p, %i, %n;
  @%p bra SUM;
  mul.wide.u32 %o, %i, 4;
  add.u64 %o, %o, %x;
  ld.global.f32 %w, [%o];
  add.rn.f32 %v, %v, %w;
  add.u32 %i, %i, 128;
  bra NEXT;
SUM:
  mov.b32 %s, %v;
  shfl.sync.down.b32 %u|%q, %s, 16, 31, -1;
  mov.b32 %w, %u;
  @%q add.rn.f32 %v, %v, %w;
  mov.b32 %s, %v;
  shfl.sync.bfly.b32 %u, %s, 8, 31, 0xffffffff;
  mov.b32 %w, %u;
  add.rn.f32 %v, %v, %w;
  mov.b32 %s, %v;
  shfl.sync.bfly.b32 %u, %s, 4, 31, 0xffffffff;
  mov.b32 %w, %u;
  add.rn.f32 %v, %v, %w;
  mov.b32 %s, %v;
  shfl.sync.bfly.b32 %u, %s, 2, 31, 0xffffffff;
  mov.b32 %w, %u;
  add.rn.f32 %v, %v, %w;
  mov.b32 %s, %v;
  shfl.sync.bfly.b32 %u, %s, 1, 31, 0xffffffff;
  mov.b32 %w, %u;
  add.rn.f32 %v, %v, %w;
  and.b32 %lane, %t, 31;
  shr.u32 %warp, %t, 5;
  mov.u32 %s, parts;
  mad.lo.u32 %s, %warp, 4, %s;
  setp.eq.u32 %p, %lane, 0;
  @%p st.shared.f32 [%s], %v;
  bar.sync 0;
  setp.ne.u32 %p, %t, 0;
  @%p bra DONE;
  ld.shared.f32 %v, [parts];
  ld.shared.f32 %w, [parts+4];
  add.rn.f32 %v, %v, %w;
  ld.shared.f32 %w, [parts+8];
  add.rn.f32 %v, %v, %w;
  ld.shared.f32 %w, [parts+12];
  add.rn.f32 %v, %v, %w;
  mov.u32 %s, dynamic;
  st.shared.f32 [%s+4], %v;
  ld.shared.f32 %v, [%s+4];
  st.global.f32 [%out], %v;
DONE:
  ret;
}
)",
           "total");
  std::vector<float> x(777);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(i % 13) - 6, sum += x[i];  // small integers: every order is exact
  Buffer<float> dx(x), out(1);
  CHECK_EQUAL(k.run(1, 128, 64, out.address, dx.address, 777u), 0);
  CHECK_EQUAL(out.read()[0], sum);
  CHECK_EQUAL(k.run(1, 64, 64, out.address, dx.address, 777u), 1);      // .reqntid
  CHECK_EQUAL(k.run(1, 128, 60000, out.address, dx.address, 777u), 1);  // above 48 KiB without the attribute
  int limit = 0;
  CHECK_EQUAL(cuFuncSetAttribute(k.function, 8, 60000), 0);
  CHECK_EQUAL(cuFuncGetAttribute(&limit, 8, k.function), 0);
  CHECK_EQUAL(limit, 60000);
  CHECK_EQUAL(k.run(1, 128, 60000, out.address, dx.address, 777u), 0);
  CHECK_EQUAL(cuFuncSetAttribute(k.function, 8, 240000), 1);
}

// One instruction over 64 threads: loads a, b, c (as stored bits), runs it, stores d.
template <typename D, typename A>
std::vector<D> apply(const std::string& code, const std::vector<A>& a, const std::vector<A>& b = {},
                     const std::vector<A>& c = {}) {
  start();
  auto bits = [](size_t bytes) { return ".b" + std::to_string(8 * bytes); };
  std::string size_a = std::to_string(sizeof(A));
  std::string text =
      ".visible .entry apply(.param .u64 d, .param .u64 a, .param .u64 b, .param .u64 c)\n{\n.reg .b32 %t;\n.reg .pred "
      "%p, %q;\n"
      ".reg .b64 %o, %e, %pd, %pa, %pb, %pc;\n.reg .b32 %x, %y, %z;\n.reg .b16 %hx, %hy;\n.reg " +
      bits(sizeof(D)) + " %d;\n.reg " + bits(sizeof(A)) +
      " %a, %b, %c;\n"
      "mov.u32 %t, %tid.x;\nld.param.u64 %pd, [d];\nld.param.u64 %pa, [a];\nld.param.u64 %pb, [b];\nld.param.u64 %pc, "
      "[c];\n"
      "mul.wide.u32 %o, %t, " +
      size_a + ";\nmul.wide.u32 %e, %t, " + std::to_string(sizeof(D)) +
      ";\n"
      "add.u64 %pa, %pa, %o;\nadd.u64 %pb, %pb, %o;\nadd.u64 %pc, %pc, %o;\nadd.u64 %pd, %pd, %e;\n"
      "ld.global" +
      bits(sizeof(A)) + " %a, [%pa];\nld.global" + bits(sizeof(A)) + " %b, [%pb];\nld.global" + bits(sizeof(A)) +
      " %c, [%pc];\n" + code + "\nst.global" + bits(sizeof(D)) + " [%pd], %d;\nret;\n}\n";
  Kernel k(text, "apply");
  if (k.function == nullptr) return std::vector<D>(a.size());
  Buffer<A> da(a), db(b.empty() ? a : b), dc(c.empty() ? a : c);
  Buffer<D> dd(a.size());
  CHECK_EQUAL(k.run(1, static_cast<unsigned>(a.size()), 0, dd.address, da.address, db.address, dc.address), 0);
  return dd.read();
}

template <typename D, typename A, typename F>
void agrees(const std::string& code, F oracle, const std::vector<A>& a, const std::vector<A>& b,
            const std::vector<A>& c = {}) {
  std::vector<D> got = apply<D, A>(code, a, b, c);
  for (size_t i = 0; i < a.size(); ++i) {
    D want = static_cast<D>(oracle(a[i], b[i], c.empty() ? a[i] : c[i]));
    if (std::memcmp(&got[i], &want, sizeof(D)) == 0) continue;
    check(false, __FILE__, __LINE__,
          "'" + code + "' of element " + std::to_string(i) + " gives " + std::to_string(got[i]) + ", not " +
              std::to_string(want));
    return;
  }
  check(true, __FILE__, __LINE__, code);
}

void test_integers() {
  using U = uint32_t;
  std::vector<U> a, b, c;
  for (U i = 0; i < 64; ++i) {
    a.push_back(i * 0x9e3779b1u ^ (i << 28));
    b.push_back(i % 3 == 0 ? i : ~(i * 0x85ebca77u));
    c.push_back(i * 7 % 40);
  }
  auto s = [](U x) { return static_cast<int32_t>(x); };
  agrees<U>(
      "add.u32 %d, %a, %b;", [](U x, U y, U) { return x + y; }, a, b);
  agrees<U>(
      "sub.s32 %d, %a, %b;", [](U x, U y, U) { return x - y; }, a, b);
  agrees<U>(
      "add.sat.s32 %d, %a, %b;",
      [&](U x, U y, U) { return std::min<int64_t>(INT32_MAX, std::max<int64_t>(INT32_MIN, int64_t(s(x)) + s(y))); }, a,
      b);
  agrees<U>(
      "mul.lo.u32 %d, %a, %b;", [](U x, U y, U) { return x * y; }, a, b);
  agrees<U>(
      "mul.hi.u32 %d, %a, %b;", [](U x, U y, U) { return (uint64_t(x) * y) >> 32; }, a, b);
  agrees<U>(
      "mul.hi.s32 %d, %a, %b;", [&](U x, U y, U) { return (int64_t(s(x)) * s(y)) >> 32; }, a, b);
  agrees<uint64_t>(
      "mul.wide.s32 %d, %a, %b;", [&](U x, U y, U) { return int64_t(s(x)) * s(y); }, a, b);
  agrees<U>(
      "mad.lo.s32 %d, %a, %b, %c;", [](U x, U y, U z) { return x * y + z; }, a, b, c);
  agrees<U>(
      "mad.hi.u32 %d, %a, %b, %c;", [](U x, U y, U z) { return ((uint64_t(x) * y) >> 32) + z; }, a, b, c);
  agrees<uint64_t>(
      "mad.wide.u32 %d, %a, %b, %pa;\nsub.u64 %d, %d, %pa;", [](U x, U y, U) { return uint64_t(x) * y; }, a, b);
  agrees<U>(
      "or.b32 %x, %b, 1;\ndiv.s32 %d, %a, %x;", [&](U x, U y, U) { return int64_t(s(x)) / s(y | 1); }, a, b);
  agrees<U>(
      "or.b32 %x, %b, 1;\nrem.u32 %d, %a, %x;", [](U x, U y, U) { return x % (y | 1); }, a, b);
  agrees<U>(
      "min.s32 %d, %a, %b;", [&](U x, U y, U) { return std::min(s(x), s(y)); }, a, b);
  agrees<U>(
      "max.u32 %d, %a, %b;", [](U x, U y, U) { return std::max(x, y); }, a, b);
  agrees<U>(
      "abs.s32 %d, %a;", [&](U x, U, U) { return s(x) < 0 ? 0 - x : x; }, a, b);
  agrees<U>(
      "neg.s32 %d, %a;", [](U x, U, U) { return 0 - x; }, a, b);
  agrees<U>(
      "xor.b32 %d, %a, %b;\nand.b32 %d, %d, %c;\nnot.b32 %d, %d;", [](U x, U y, U z) { return ~((x ^ y) & z); }, a, b,
      c);
  agrees<U>(
      "shl.b32 %d, %a, %c;", [](U x, U, U z) { return z > 31 ? 0 : x << z; }, a, b, c);
  agrees<U>(
      "shr.u32 %d, %a, %c;", [](U x, U, U z) { return z > 31 ? 0 : x >> z; }, a, b, c);
  agrees<U>(
      "shr.s32 %d, %a, %c;", [&](U x, U, U z) { return s(x) >> std::min(z, 31u); }, a, b, c);
  agrees<U>(
      "shf.l.wrap.b32 %d, %a, %b, 9;", [](U x, U y, U) { return y << 9 | x >> 23; }, a, b);
  agrees<U>(
      "popc.b32 %d, %a;", [](U x, U, U) { return __builtin_popcount(x); }, a, b);
  agrees<U>(
      "clz.b32 %d, %c;", [](U, U, U z) { return z == 0 ? 32 : __builtin_clz(z); }, a, b, c);
  agrees<U>(
      "brev.b32 %d, %a;\nbrev.b32 %d, %d;", [](U x, U, U) { return x; }, a, b);
  agrees<U>(
      "bfe.u32 %d, %a, 5, 7;", [](U x, U, U) { return x >> 5 & 127; }, a, b);
  agrees<U>(
      "bfe.s32 %d, %a, 5, 7;", [&](U x, U, U) { return s(x << 20) >> 25; }, a, b);
  agrees<U>(
      "bfi.b32 %d, %a, %b, 8, 8;", [](U x, U y, U) { return (y & ~0xff00u) | (x & 255) << 8; }, a, b);
  agrees<U>(
      "prmt.b32 %d, %a, %b, 0x7610;", [](U x, U y, U) { return (y & 0xffff0000u) | (x & 0xffffu); }, a, b);
  agrees<U>(
      "lop3.b32 %d, %a, %b, %c, 0x96;", [](U x, U y, U z) { return x ^ y ^ z; }, a, b, c);
  agrees<U>(
      "setp.lt.s32 %p, %a, %b;\nselp.b32 %d, %a, %b, %p;", [&](U x, U y, U) { return std::min(s(x), s(y)); }, a, b);
  agrees<U>(
      "setp.gt.u32 %q, %c, 20;\nsetp.lo.and.u32 %p|%q, %a, %b, !%q;\nselp.u32 %d, 1, 0, %p;\n@%q add.u32 %d, %d, 2;",
      [](U x, U y, U z) { return (x < y && z <= 20 ? 1 : 0) + (!(x < y) && z <= 20 ? 2 : 0); }, a, b, c);
  agrees<uint64_t>(
      "cvt.s64.s32 %d, %a;", [&](U x, U, U) { return int64_t(s(x)); }, a, b);
  agrees<U>(
      "cvt.u32.u8 %d, %a;", [](U x, U, U) { return x & 255; }, a, b);
  agrees<U>(
      "cvt.s32.s8 %d, %a;", [](U x, U, U) { return int8_t(x); }, a, b);
  agrees<U>(
      "cvt.sat.u8.s32 %d, %a;", [&](U x, U, U) { return std::min(255, std::max(0, s(x))); }, a, b);
}

void test_floats() {
  std::vector<float> a, b, c;
  for (int i = 0; i < 64; ++i) {
    a.push_back(uniform() * std::exp2(static_cast<float>(i % 20 - 10)));
    b.push_back(uniform() * 4);
    c.push_back(uniform());
  }
  a[0] = 0;
  a[1] = -0.0f;
  a[2] = INFINITY;
  a[3] = NAN;
  b[3] = 1;
  a[4] = 1e-40f;
  b[5] = NAN;
  a[6] = -INFINITY;
  using F = float;
  std::vector<F> positive;
  for (F x : a) positive.push_back(std::isnan(x) || x == 0 || std::isinf(x) ? 0.7f : std::fabs(x));
  agrees<F>(
      "add.rn.f32 %d, %a, %c;", [](F x, F, F z) { return x + z; }, a, b, c);
  agrees<F>(
      "mul.f32 %d, %c, %c;", [](F, F, F z) { return z * z; }, a, b, c);
  agrees<F>(
      "mul.ftz.f32 %d, %a, 0f3F800000;",
      [](F x, F, F) { return std::fabs(x) < 1.1754944e-38f ? std::copysign(0.0f, x) : x; }, positive, b);
  agrees<F>(
      "fma.rn.f32 %d, %b, %c, %c;", [](F, F y, F z) { return std::isnan(y) ? NAN : std::fma(y, z, z); }, positive, c,
      c);
  agrees<F>(
      "div.rn.f32 %d, %c, %a;", [](F x, F, F z) { return z / x; }, positive, b, c);
  agrees<F>(
      "sqrt.rn.f32 %d, %a;", [](F x, F, F) { return std::sqrt(x); }, positive, b);
  agrees<F>(
      "min.f32 %d, %a, %b;", [](F x, F y, F) { return std::isnan(x)   ? y
                                                      : std::isnan(y) ? x
                                                                      : std::fmin(x, y); }, a, b);
  agrees<F>(
      "abs.f32 %d, %a;\nneg.f32 %d, %d;", [](F x, F, F) { return -std::fabs(x); }, positive, b);
  agrees<F>(
      "add.sat.f32 %d, %a, %c;",
      [](F x, F, F z) {
        float r = x + z;
        return r > 0 ? std::min(r, 1.0f) : 0.0f;
      },
      a, b, c);
  agrees<F>(
      "cvt.rni.f32.f32 %d, %b;", [](F, F y, F) { return std::nearbyint(y); }, positive, c);
  agrees<uint32_t>(
      "cvt.rzi.s32.f32 %d, %b;", [](F, F y, F) { return static_cast<uint32_t>(static_cast<int32_t>(y * 1)); }, positive,
      c);
  agrees<uint32_t>(
      "cvt.rni.u32.f32 %d, %a;", [](F x, F, F) { return x < 0.5f ? 0u : static_cast<uint32_t>(std::nearbyint(x)); },
      positive, c);
  agrees<uint32_t>(
      "setp.ltu.f32 %p, %a, %b;\nselp.u32 %d, 1, 0, %p;", [](F x, F y, F) { return !(x >= y) ? 1 : 0; }, a, b);
  agrees<uint32_t>(
      "setp.ne.f32 %p, %a, %b;\nselp.u32 %d, 1, 0, %p;", [](F x, F y, F) { return x < y || x > y ? 1 : 0; }, a, b);
  agrees<uint32_t>(
      "setp.nan.f32 %p, %a, %b;\nselp.u32 %d, 1, 0, %p;",
      [](F x, F y, F) { return std::isnan(x) || std::isnan(y) ? 1 : 0; }, a, b);
  agrees<uint32_t>(
      "testp.finite.f32 %p, %a;\nselp.u32 %d, 1, 0, %p;", [](F x, F, F) { return std::isfinite(x) ? 1 : 0; }, a, b);
  // bf16: a pair is packed with its first operand in the upper half; ties to even
  std::vector<F> ties = c;
  for (size_t i = 0; i < 16; ++i) ties[i] = 1.0f + static_cast<float>(2 * i + 1) / 256.0f;
  agrees<uint16_t>(
      "cvt.rn.bf16.f32 %d, %a;", [](F x, F, F) { return bfloat_bits(x); }, ties, b);
  agrees<uint32_t>(
      "cvt.rn.bf16x2.f32 %d, %a, %c;",
      [](F x, F, F z) { return static_cast<uint32_t>(bfloat_bits(x)) << 16 | bfloat_bits(z); }, ties, b, c);
  agrees<F>(
      "cvt.rn.bf16.f32 %hx, %a;\ncvt.f32.bf16 %d, %hx;", [](F x, F, F) { return bfloat(x); }, ties, b);
  agrees<uint32_t>(
      "cvt.rn.bf16x2.f32 %x, %a, %c;\nfma.rn.bf16x2 %d, %x, %x, %x;",
      [](F x, F, F z) {
        auto one = [](F v) {
          v = bfloat(v);
          return bfloat_bits(static_cast<float>(std::fma(double(v), double(v), double(v))));
        };
        return static_cast<uint32_t>(one(x)) << 16 | one(z);
      },
      ties, b, c);
  // half by the processor-independent definition: 11 significant bits
  agrees<F>(
      "cvt.rn.f16.f32 %hx, %c;\ncvt.f32.f16 %d, %hx;",
      [](F, F, F z) {
        int e = std::max(std::ilogb(z), -14);
        return static_cast<F>(std::ldexp(std::nearbyint(std::ldexp(double(z), 10 - e)), e - 10));
      },
      positive, b, c);
  agrees<F>(
      "add.rz.f32 %d, %c, 0f3F800000;",
      [](F, F, F z) {
        double r = double(z) + 1.0;
        F f = static_cast<F>(r);
        return double(f) > r ? std::nextafter(f, 0.0f) : f;
      },
      positive, b, c);
}

// Approximate instructions: inside the documented bound, and visibly not exact.
void test_approximations() {
  std::vector<float> a;
  for (int i = 0; i < 64; ++i) a.push_back(0.01f + 0.09f * static_cast<float>(i) + 0.001f * uniform());
  auto bounded = [&](const std::string& code, const std::function<double(double)>& exact, double relative,
                     double absolute) {
    std::vector<float> got = apply<float, float>(code, a);
    size_t inexact = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      double want = exact(a[i]);
      double error = std::fabs(got[i] - want);
      check(error <= std::max(relative * std::fabs(want), absolute), __FILE__, __LINE__,
            code + " is off by " + std::to_string(error));
      inexact += got[i] != static_cast<float>(want) ? 1 : 0;
    }
    check(inexact > a.size() / 8, __FILE__, __LINE__, code + " is exact too often");
  };
  bounded(
      "ex2.approx.ftz.f32 %d, %a;", [](double x) { return std::exp2(x); }, std::exp2(-22), 0);
  bounded(
      "lg2.approx.f32 %d, %a;", [](double x) { return std::log2(x); }, std::exp2(-22), std::exp2(-22));
  bounded(
      "rcp.approx.f32 %d, %a;", [](double x) { return 1 / x; }, std::exp2(-23), 0);
  bounded(
      "rsqrt.approx.f32 %d, %a;", [](double x) { return 1 / std::sqrt(x); }, std::exp2(-22.9), 0);
  bounded(
      "div.approx.f32 %d, 0f40490FDB, %a;", [](double x) { return double(3.14159274f) / x; }, std::exp2(-22), 0);
  bounded(
      "tanh.approx.f32 %d, %a;", [](double x) { return std::tanh(x); }, std::exp2(-11), 0);
  bounded(
      "sin.approx.f32 %d, %a;", [](double x) { return std::sin(x); }, 0, std::exp2(-20.5));
}

void test_functions_and_globals() {
  start();
  Kernel k(R"(
.global .align 8 .b32 counter[2] = {7, 0};
.const .align 4 .f32 scale = 0f40000000;
.func (.reg .f32 %out) twice (.reg .f32 %in)
{
  .reg .f32 %s;
  .reg .pred %p;
  ld.const.f32 %s, [scale];
  setp.lt.f32 %p, %in, 0f00000000;
  mov.f32 %out, 0f00000000;
  @%p ret;
  mul.f32 %out, %in, %s;
  ret;
}
.func (.param .b32 result) next (.param .b32 value)
{
  .reg .b32 %v;
  ld.param.b32 %v, [value];
  add.u32 %v, %v, 1;
  st.param.b32 [result], %v;
  ret;
}
.visible .entry main_entry(.param .u64 out, .param .align 8 .b8 shape[24])
{
  .reg .f32 %x, %y;
  .reg .b32 %i, %n, %old;
  .reg .b64 %out, %o, %c, %h;
  ld.param.u64 %out, [out];
  ld.param.u32 %n, [shape+16];
  mov.u32 %i, %tid.x;
  cvt.rn.f32.u32 %x, %i;
  sub.f32 %x, %x, 0f40800000;
  call.uni (%y), twice, (%x);
  mul.wide.u32 %o, %i, 4;
  add.u64 %o, %o, %out;
  st.global.f32 [%o], %y;
  {
    .param .b32 arg;
    .param .b32 ret0;
    st.param.b32 [arg], %n;
    call (ret0), next, (arg);
    ld.param.b32 %n, [ret0];
  }
  mov.u64 %c, counter;
  atom.global.add.u32 %old, [%c+4], %n;
  {
    .reg .b32 %lo, %hi;
    mov.b64 {%lo, %hi}, %o;
    mov.b64 %h, {%lo, %hi};
  }
  sub.u64 %h, %h, %o;
  cvt.u32.u64 %i, %h;
  red.global.max.u32 [counter], %i;
  ret;
}
)",
           "main_entry");
  Buffer<float> out(32);
  struct {
    uint64_t a, b;
    uint32_t n, pad;
  } shape = {1, 2, 4, 0};
  CHECK_EQUAL(k.run(1, 32, 0, out.address, shape), 0);
  std::vector<float> got = out.read();
  for (int i = 0; i < 32; ++i)
    CHECK_EQUAL(got[static_cast<size_t>(i)], i < 4 ? 0.0f : 2.0f * static_cast<float>(i - 4));
  Pointer counter = 0;
  size_t bytes = 0;
  uint32_t values[2];
  CHECK_EQUAL(cuModuleGetGlobal_v2(&counter, &bytes, k.module, "counter"), 0);
  CHECK_EQUAL(bytes, 8);
  CHECK_EQUAL(cuMemcpyDtoH_v2(values, counter, 8), 0);
  CHECK_EQUAL(values[0], 7);
  CHECK_EQUAL(values[1], 32 * 5);
}

const char* const kFill = R"(
.visible .entry fill(.param .u64 out, .param .f32 value)
{
  .reg .b32 %i;
  .reg .b64 %o, %out;
  .reg .f32 %v;
  ld.param.u64 %out, [out];
  ld.param.f32 %v, [value];
  mov.u32 %i, %tid.x;
  mul.wide.u32 %o, %i, 4;
  add.u64 %o, %o, %out;
  st.global.f32 [%o], %v;
  ret;
}
)";

void test_memory() {
  start();
  Pointer p = 0;
  float host[4] = {1, 2, 3, 4};
  CHECK_EQUAL(cuMemAlloc_v2(&p, 16), 0);
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, host, 20), 1);  // beyond the end: refused, not sticky
  CHECK_EQUAL(cuMemcpyHtoD_v2(p, host, 8), 0);
  CHECK_EQUAL(cuMemcpyDtoH_v2(host, p, 16), 719);  // the second half was never written
  CHECK_CONTAINS(last_fault(), std::string("of which nothing wrote"));
  start();
  CHECK_EQUAL(cuMemAlloc_v2(&p, 1 << 20), 0);
  CHECK_EQUAL(cuMemFree_v2(p), 0);
  CHECK_EQUAL(cuMemFree_v2(p), 1);
  CHECK_CONTAINS(last_fault(), std::string("freed"));
  CHECK_EQUAL(cuMemAlloc_v2(&p, size_t(1) << 50), 2);
  CHECK_EQUAL(cuMemAlloc(), 801);
  CHECK_EQUAL(cudasim_live_allocations(), 0);
  cudasim_fail_allocation(2);
  Pointer q = 0;
  CHECK_EQUAL(cuMemAlloc_v2(&p, 16), 0);
  CHECK_EQUAL(cuMemAllocAsync(&q, 16, nullptr), 2);
  CHECK_EQUAL(cuMemAllocAsync(&q, 16, nullptr), 0);
  CHECK_EQUAL(cuMemFreeAsync(p, nullptr), 1);  // not stream-ordered
  CHECK_EQUAL(cuMemFreeAsync(q, nullptr), 0);
  char report[512];
  cudasim_leak_report(report, sizeof report);
  CHECK_CONTAINS(std::string(report), std::string("16 bytes"));
  CHECK_EQUAL(cuMemFree_v2(p), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
  CHECK_EQUAL(cudasim_leak_report(report, sizeof report), 0);
  // Pinned memory has one address for both sides.
  start();
  Kernel k(kFill, "fill");
  void* pinned = nullptr;
  CHECK_EQUAL(cuMemHostAlloc(&pinned, 128, 0), 0);
  CHECK_EQUAL(k.run(1, 32, 0, reinterpret_cast<Pointer>(pinned), 2.5f), 0);
  CHECK_EQUAL(static_cast<float*>(pinned)[31], 2.5f);
  CHECK_EQUAL(cuMemFreeHost(pinned), 0);
  // A pitched copy out of the middle of an image.
  start();
  std::vector<unsigned char> image(64);
  for (size_t i = 0; i < 64; ++i) image[i] = static_cast<unsigned char>(i);
  Buffer<unsigned char> d(image);
  unsigned char part[6] = {};
  struct {
    size_t sx, sy;
    int st;
    const void* sh;
    Pointer sd;
    Handle sa;
    size_t sp, dx, dy;
    int dt;
    void* dh;
    Pointer dd;
    Handle da;
    size_t dp, w, h;
  } copy = {2, 1, 2, nullptr, d.address, nullptr, 8, 0, 0, 1, part, 0, nullptr, 3, 3, 2};
  CHECK_EQUAL(cuMemcpy2DAsync_v2(&copy, nullptr), 0);
  CHECK(part[0] == 10 && part[2] == 12 && part[3] == 18 && part[5] == 20);
  CHECK_EQUAL(cuMemsetD8_v2(d.address, 9, 64), 0);
  CHECK_EQUAL(d.read()[63], 9);
  CHECK_EQUAL(cuMemsetD32Async(d.address, 1, 17, nullptr), 1);
}

void test_streams_and_graphs() {
  start();
  Kernel k(kFill, "fill");
  Handle s = nullptr, other = nullptr, event = nullptr, graph = nullptr, exec = nullptr;
  CHECK_EQUAL(cuStreamCreate(&s, 1), 0);
  CHECK_EQUAL(cuStreamCreate(&other, 1), 0);
  CHECK_EQUAL(cuEventCreate(&event, 2), 0);
  Buffer<float> a(32), b(32);
  auto fill = [&](Pointer p, float v, Handle stream) {
    void* parameters[] = {&p, &v};
    return cuLaunchKernel(k.function, 1, 1, 1, 32, 1, 1, 0, stream, parameters, nullptr);
  };
  CHECK_EQUAL(fill(a.address, 1.0f, s), 0);
  CHECK_EQUAL(fill(b.address, 1.0f, s), 0);
  // Fork to a second stream and join: recorded, not run.
  CHECK_EQUAL(cuStreamBeginCapture_v2(s, 1), 0);
  CHECK_EQUAL(fill(a.address, 2.0f, s), 0);
  CHECK_EQUAL(cuEventRecord(event, s), 0);
  CHECK_EQUAL(cuEventQuery(event), 907);
  CHECK_EQUAL(cuStreamWaitEvent(other, event, 0), 0);
  CHECK_EQUAL(cuMemcpyDtoDAsync_v2(b.address, a.address, 128, other), 0);
  CHECK_EQUAL(cuEventRecord(event, other), 0);
  CHECK_EQUAL(cuStreamWaitEvent(s, event, 0), 0);
  Pointer scratch = 0;
  CHECK_EQUAL(cuMemAllocAsync(&scratch, 128, s), 0);
  CHECK_EQUAL(fill(scratch, 3.0f, s), 0);
  CHECK_EQUAL(cuMemFreeAsync(scratch, s), 0);
  CHECK_EQUAL(cuStreamEndCapture(s, &graph), 0);
  CHECK_EQUAL(a.read()[0], 1.0f);
  CHECK_EQUAL(cuGraphInstantiateWithFlags(&exec, graph, 0), 0);
  CHECK_EQUAL(cuGraphDestroy(graph), 0);
  uint64_t launches = cudasim_call_count("cuLaunchKernel");
  CHECK_EQUAL(cuGraphLaunch(exec, s), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, s), 0);
  CHECK_EQUAL(cudasim_call_count("cuLaunchKernel"), launches);  // a replay is one call
  CHECK_EQUAL(cudasim_call_count("cuGraphLaunch"), 2);
  CHECK_EQUAL(b.read()[31], 2.0f);
  CHECK_EQUAL(cuGraphExecDestroy(exec), 0);
  CHECK_EQUAL(cuGraphLaunch(exec, s), 400);
  // A fork that never joins, an unsafe call, a synchronisation.
  CHECK_EQUAL(cuStreamBeginCapture_v2(s, 0), 0);
  CHECK_EQUAL(cuEventRecord(event, s), 0);
  CHECK_EQUAL(cuStreamWaitEvent(other, event, 0), 0);
  CHECK_EQUAL(fill(a.address, 4.0f, other), 0);
  CHECK_EQUAL(cuStreamEndCapture(s, &graph), 904);
  CHECK_EQUAL(cuStreamBeginCapture_v2(s, 0), 0);
  Pointer p = 0;
  CHECK_EQUAL(cuMemAlloc_v2(&p, 16), 900);
  CHECK_EQUAL(fill(a.address, 4.0f, s), 901);
  CHECK_EQUAL(cuStreamEndCapture(s, &graph), 901);
  CHECK_EQUAL(cuStreamBeginCapture_v2(s, 0), 0);
  CHECK_EQUAL(cuStreamSynchronize(s), 900);
  CHECK_EQUAL(cuStreamEndCapture(s, &graph), 901);
  CHECK_EQUAL(cuStreamBeginCapture_v2(nullptr, 0), 900);
  // A thread that says it knows what it does may allocate.
  int mode = 2;
  CHECK_EQUAL(cuThreadExchangeStreamCaptureMode(&mode), 0);
  CHECK_EQUAL(cuStreamBeginCapture_v2(s, 0), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 16), 0);
  CHECK_EQUAL(cuStreamEndCapture(s, &graph), 0);
  CHECK_EQUAL(cuThreadExchangeStreamCaptureMode(&mode), 0);
  CHECK_EQUAL(mode, 2);
  Handle blocking = nullptr;
  CHECK_EQUAL(cuStreamCreate(&blocking, 0), 0);
  CHECK_EQUAL(cuStreamBeginCapture_v2(blocking, 2), 0);
  CHECK_EQUAL(fill(a.address, 4.0f, nullptr), 906);
  CHECK_EQUAL(cuStreamEndCapture(blocking, &graph), 901);
  // Events with time, and handles after destruction.
  Handle begin = nullptr, end = nullptr;
  float ms = -1;
  CHECK_EQUAL(cuEventCreate(&begin, 0), 0);
  CHECK_EQUAL(cuEventCreate(&end, 0), 0);
  CHECK_EQUAL(cuEventElapsedTime(&ms, begin, end), 400);
  CHECK_EQUAL(cuEventRecord(begin, s), 0);
  CHECK_EQUAL(fill(a.address, 4.0f, s), 0);
  CHECK_EQUAL(cuEventRecord(end, s), 0);
  CHECK_EQUAL(cuEventElapsedTime(&ms, begin, end), 0);
  CHECK(ms >= 0);
  CHECK_EQUAL(cuEventDestroy_v2(begin), 0);
  CHECK_EQUAL(cuEventRecord(begin, s), 400);
  CHECK_EQUAL(cuStreamDestroy_v2(s), 0);
  CHECK_EQUAL(fill(a.address, 4.0f, s), 400);
  CHECK_CONTAINS(last_fault(), std::string("use of a stream after its destruction"));
  CHECK_EQUAL(cuModuleUnload(k.module), 0);
  CHECK_EQUAL(fill(a.address, 4.0f, other), 400);
  int calls = 0;
  CHECK_EQUAL(cuLaunchHostFunc(
                  other, [](void* data) { *static_cast<int*>(data) = cuCtxSynchronize(); }, &calls),
              0);
  CHECK_EQUAL(calls, 800);
  // Injected failures.
  start();
  Kernel again(kFill, "fill");
  Buffer<float> c(32);
  cudasim_fail_launch(1);
  CHECK_EQUAL(again.run(1, 32, 0, c.address, 1.0f), 0);
  CHECK_EQUAL(cuCtxSynchronize(), 719);
  start();
  cudasim_lose_device();
  CHECK_EQUAL(cuCtxSynchronize(), 46);
  start();
  const char* name = nullptr;
  CHECK_EQUAL(cuGetErrorName(700, &name), 0);
  CHECK(std::string(name) == "CUDA_ERROR_ILLEGAL_ADDRESS");
  void* address = nullptr;
  int status = -1;
  CHECK_EQUAL(cuGetProcAddress_v2("cuMemAlloc", &address, 12000, 0, &status), 0);
  CHECK(address == symbol(cuda, "cuMemAlloc_v2"));
  CHECK_EQUAL(cuGetProcAddress_v2("cuCtxCreate", &address, 13000, 0, &status), 0);
  CHECK(address == symbol(cuda, "cuCtxCreate_v4"));
  CHECK_EQUAL(cuGetProcAddress_v2("cuEventElapsedTime", &address, 12000, 0, &status), 0);
  CHECK(address == symbol(cuda, "cuEventElapsedTime"));
}

void measure() {
  start();
  Kernel k(R"(
.visible .entry spin(.param .u64 out, .param .u32 n)
{
  .reg .pred %p;
  .reg .b32 %i, %n, %x;
  .reg .f32 %v;
  .reg .b64 %o, %out;
  ld.param.u64 %out, [out];
  ld.param.u32 %n, [n];
  mov.u32 %i, 0;
  mov.u32 %x, %tid.x;
  mul.wide.u32 %o, %x, 4;
  add.u64 %o, %o, %out;
  mov.f32 %v, 0f00000000;
LOOP:
  add.u32 %x, %x, %i;
  fma.rn.f32 %v, %v, 0f3F000000, 0f3F800000;
  st.global.f32 [%o], %v;
  ld.global.f32 %v, [%o];
  add.u32 %i, %i, 1;
  setp.lt.u32 %p, %i, %n;
  @%p bra LOOP;
  ret;
}
)",
           "spin");
  Buffer<float> out(256);
  uint64_t before = cudasim_instructions();
  auto begin = std::chrono::steady_clock::now();
  CHECK_EQUAL(k.run(1, 256, 0, out.address, 20000u), 0);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("interpreter: %.0f million instructions a second\n",
              static_cast<double>(cudasim_instructions() - before) / seconds / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  setenv("CUDASIM_QUIET", "1", 1);
  bind();
  test_parse_errors();
  test_faults();
  test_saxpy();
  test_reduction();
  test_integers();
  test_floats();
  test_approximations();
  test_functions_and_globals();
  test_memory();
  test_streams_and_graphs();
  measure();
  cudasim_reset();
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}

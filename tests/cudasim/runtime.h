// What the simulated driver offers to the simulated libraries beside it (cuFFT, cuBLAS, cuDNN): checked device memory,
// streams that run or record work, and errors. Everything lives in libcuda.so.1; the other libraries link to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#define CUDASIM_API __attribute__((visibility("default")))

namespace cudasim {

using DevicePointer = uint64_t;
using StreamHandle = void*;

// CUresult values this simulator returns.
enum Status : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kDeinitialized = 4,
  kDeviceUnavailable = 46,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kOperatingSystem = 304,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kContextIsDestroyed = 709,
  kHostMemoryAlreadyRegistered = 712,
  kHostMemoryNotRegistered = 713,
  kIllegalInstruction = 715,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
  kNotPermitted = 800,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureMerge = 902,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCaptureIsolation = 905,
  kCaptureImplicit = 906,
  kCapturedEvent = 907,
  kCaptureWrongThread = 908,
  kGraphExecUpdateFailure = 910,
  kUnknown = 999,
};

// A program did on the device what a device would fault on, or what only this simulator notices (uninitialised reads,
// races).
class Fault : public std::runtime_error {
 public:
  Fault(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

// Host addresses of a device range, after the check that it lies in one live allocation. `what` names the operand in
// the fault. device_read also requires that every byte was written; device_write marks every byte as written.
CUDASIM_API const void* device_read(DevicePointer address, size_t bytes, const char* what);
CUDASIM_API void* device_write(DevicePointer address, size_t bytes, const char* what);
// The range is live, whatever it holds: work areas.
CUDASIM_API void* device_range(DevicePointer address, size_t bytes, const char* what);
// The range holds no defined values any more: a work area after use, an input that the call destroys.
CUDASIM_API void device_undefine(DevicePointer address, size_t bytes);

enum class NodeKind : int { Kernel = 0, Memcpy = 1, Memset = 2, Host = 3, Empty = 5, MemAlloc = 10, MemFree = 11 };

// Runs work on a stream now, or records it when the stream captures. A fault inside makes the context lost, as on a
// device: this call still reports success, later ones do not.
CUDASIM_API Status submit(StreamHandle stream, NodeKind kind, const char* name, std::function<void()> work);
CUDASIM_API Status stream_status(StreamHandle stream);  // valid, not destroyed
CUDASIM_API bool stream_capturing(StreamHandle stream);
CUDASIM_API Status device_status();  // initialised, a context is current, not lost

// Memory that a library allocates for itself.
CUDASIM_API Status library_allocate(DevicePointer* address, size_t bytes, const char* owner);
CUDASIM_API Status library_free(DevicePointer address);

CUDASIM_API void count_call(const char* name);
CUDASIM_API void count_handle(const char* kind, int change);  // live handles by kind, for the leak report
CUDASIM_API void complain(const std::string& message);        // last fault, and one line on standard error
CUDASIM_API long environment_number(const char* name, long fallback);

}  // namespace cudasim

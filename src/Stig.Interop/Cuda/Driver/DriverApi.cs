using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda;

/// <summary>
/// Raw declarations of the CUDA driver API (libcuda.so.1, nvcuda.dll). Symbols are spelled with their version suffix, so that
/// the same declarations hold for CUDA 12 and 13: the plain names of the memory calls take 32-bit sizes and pointers.
/// Types: size_t nuint, CUdeviceptr ulong, CUdevice int, every handle nint.
/// </summary>
internal static unsafe partial class DriverApi
{
    internal const string Library = "cuda-driver";

    /// <summary>Every function declared here; a library that lacks one of them is refused when it is loaded.</summary>
    internal static readonly string[] EntryPoints =
    [
        nameof(cuInit), nameof(cuDriverGetVersion), nameof(cuGetErrorName), nameof(cuGetErrorString),
        nameof(cuDeviceGetCount), nameof(cuDeviceGet), nameof(cuDeviceGetName), nameof(cuDeviceGetAttribute),
        nameof(cuDeviceTotalMem_v2), nameof(cuDevicePrimaryCtxRetain), nameof(cuDevicePrimaryCtxRelease_v2),
        nameof(cuCtxSetCurrent), nameof(cuCtxGetCurrent), nameof(cuCtxPushCurrent_v2), nameof(cuCtxPopCurrent_v2),
        nameof(cuCtxSynchronize), nameof(cuCtxGetDevice), nameof(cuMemGetInfo_v2), nameof(cuMemAlloc_v2),
        nameof(cuMemFree_v2), nameof(cuMemAllocFromPoolAsync), nameof(cuMemFreeAsync), nameof(cuMemPoolCreate),
        nameof(cuMemPoolDestroy), nameof(cuMemPoolTrimTo), nameof(cuMemPoolSetAttribute), nameof(cuMemPoolGetAttribute),
        nameof(cuMemHostAlloc), nameof(cuMemFreeHost), nameof(cuMemcpyHtoDAsync_v2), nameof(cuMemcpyDtoHAsync_v2),
        nameof(cuMemcpyDtoDAsync_v2), nameof(cuMemcpy2DAsync_v2), nameof(cuMemsetD8Async), nameof(cuMemsetD32Async),
        nameof(cuStreamCreate), nameof(cuStreamDestroy_v2), nameof(cuStreamSynchronize), nameof(cuStreamQuery),
        nameof(cuStreamWaitEvent), nameof(cuStreamBeginCapture_v2), nameof(cuStreamEndCapture), nameof(cuStreamIsCapturing),
        nameof(cuEventCreate), nameof(cuEventRecord), nameof(cuEventQuery), nameof(cuEventSynchronize),
        nameof(cuEventElapsedTime), nameof(cuEventDestroy_v2), nameof(cuModuleLoadDataEx), nameof(cuModuleUnload),
        nameof(cuModuleGetFunction), nameof(cuModuleGetGlobal_v2), nameof(cuLaunchKernel), nameof(cuFuncSetAttribute),
        nameof(cuFuncGetAttribute), nameof(cuOccupancyMaxActiveBlocksPerMultiprocessor), nameof(cuGraphInstantiateWithFlags),
        nameof(cuGraphLaunch), nameof(cuGraphUpload), nameof(cuGraphExecDestroy), nameof(cuGraphDestroy),
        nameof(cuGraphGetNodes), nameof(cuProfilerStart), nameof(cuProfilerStop),
    ];

    static DriverApi() => NativeResolver.Register();

    [LibraryImport(Library)]
    internal static partial CudaResult cuInit(uint flags);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDriverGetVersion(int* version);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGetErrorName(CudaResult error, byte** name);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGetErrorString(CudaResult error, byte** text);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDeviceGet(int* device, int ordinal);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDeviceGetAttribute(int* value, DeviceAttribute attribute, int device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDeviceTotalMem_v2(nuint* bytes, int device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDevicePrimaryCtxRetain(nint* context, int device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxSetCurrent(nint context);

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxGetCurrent(nint* context);

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxPushCurrent_v2(nint context);

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxPopCurrent_v2(nint* context);

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxSynchronize();

    [LibraryImport(Library)]
    internal static partial CudaResult cuCtxGetDevice(int* device);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemGetInfo_v2(nuint* free, nuint* total);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemAlloc_v2(ulong* pointer, nuint bytes);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemFree_v2(ulong pointer);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemAllocFromPoolAsync(ulong* pointer, nuint bytes, nint pool, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemFreeAsync(ulong pointer, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemPoolCreate(nint* pool, MemoryPoolProperties* properties);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemPoolDestroy(nint pool);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemPoolTrimTo(nint pool, nuint bytesToKeep);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemPoolSetAttribute(nint pool, MemoryPoolAttribute attribute, void* value);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemPoolGetAttribute(nint pool, MemoryPoolAttribute attribute, void* value);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemHostAlloc(void** pointer, nuint bytes, uint flags);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemFreeHost(void* pointer);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemcpyHtoDAsync_v2(ulong dst, void* src, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemcpyDtoHAsync_v2(void* dst, ulong src, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemcpyDtoDAsync_v2(ulong dst, ulong src, nuint bytes, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemcpy2DAsync_v2(MemoryCopy2D* copy, nint stream);

    /// <summary>The last-but-one argument of the fills counts elements, not bytes.</summary>
    [LibraryImport(Library)]
    internal static partial CudaResult cuMemsetD8Async(ulong dst, byte value, nuint count, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuMemsetD32Async(ulong dst, uint value, nuint count, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamCreate(nint* stream, uint flags);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamDestroy_v2(nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamSynchronize(nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamQuery(nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamWaitEvent(nint stream, nint @event, uint flags);

    /// <summary>The plain symbol is the one-argument form of old drivers.</summary>
    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamBeginCapture_v2(nint stream, CaptureMode mode);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamEndCapture(nint stream, nint* graph);

    [LibraryImport(Library)]
    internal static partial CudaResult cuStreamIsCapturing(nint stream, CaptureStatus* status);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventCreate(nint* @event, uint flags);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventRecord(nint @event, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventQuery(nint @event);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventSynchronize(nint @event);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventElapsedTime(float* milliseconds, nint start, nint end);

    [LibraryImport(Library)]
    internal static partial CudaResult cuEventDestroy_v2(nint @event);

    /// <summary>Values of scalar options are stored in the pointer-sized slots themselves; only buffers are pointers.</summary>
    [LibraryImport(Library)]
    internal static partial CudaResult cuModuleLoadDataEx(nint* module, void* image, uint count, JitOption* options, void** values);

    [LibraryImport(Library)]
    internal static partial CudaResult cuModuleUnload(nint module);

    [LibraryImport(Library)]
    internal static partial CudaResult cuModuleGetFunction(nint* function, nint module, byte* name);

    [LibraryImport(Library)]
    internal static partial CudaResult cuModuleGetGlobal_v2(ulong* pointer, nuint* bytes, nint module, byte* name);

    [LibraryImport(Library)]
    internal static partial CudaResult cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicSharedBytes,
        nint stream, void** parameters, void** extra);

    [LibraryImport(Library)]
    internal static partial CudaResult cuFuncSetAttribute(nint function, FunctionAttribute attribute, int value);

    [LibraryImport(Library)]
    internal static partial CudaResult cuFuncGetAttribute(int* value, FunctionAttribute attribute, nint function);

    [LibraryImport(Library)]
    internal static partial CudaResult cuOccupancyMaxActiveBlocksPerMultiprocessor(
        int* blocks, nint function, int blockSize, nuint dynamicSharedBytes);

    /// <summary>The plain symbol and <c>_v2</c> are five-argument forms.</summary>
    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphInstantiateWithFlags(nint* executable, nint graph, ulong flags);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphUpload(nint executable, nint stream);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphExecDestroy(nint executable);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphDestroy(nint graph);

    [LibraryImport(Library)]
    internal static partial CudaResult cuGraphGetNodes(nint graph, nint* nodes, nuint* count);

    [LibraryImport(Library)]
    internal static partial CudaResult cuProfilerStart();

    [LibraryImport(Library)]
    internal static partial CudaResult cuProfilerStop();
}

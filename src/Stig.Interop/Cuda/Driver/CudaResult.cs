using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda;

/// <summary>CUresult.</summary>
internal enum CudaResult
{
    Success = 0,
    InvalidValue = 1,
    OutOfMemory = 2,
    NotInitialized = 3,
    Deinitialized = 4,
    StubLibrary = 34,
    CallRequiresNewerDriver = 36,
    DeviceUnavailable = 46,
    NoDevice = 100,
    InvalidDevice = 101,
    InvalidImage = 200,
    InvalidContext = 201,
    NoBinaryForGpu = 209,
    EccUncorrectable = 214,
    InvalidPtx = 218,
    NvlinkUncorrectable = 220,
    JitCompilerNotFound = 221,
    UnsupportedPtxVersion = 222,
    FileNotFound = 301,
    OperatingSystem = 304,
    InvalidHandle = 400,
    NotFound = 500,
    NotReady = 600,
    IllegalAddress = 700,
    LaunchOutOfResources = 701,
    LaunchTimeout = 702,
    ContextIsDestroyed = 709,
    Assert = 710,
    HostMemoryAlreadyRegistered = 712,
    HostMemoryNotRegistered = 713,
    HardwareStackError = 714,
    IllegalInstruction = 715,
    MisalignedAddress = 716,
    InvalidAddressSpace = 717,
    InvalidPc = 718,
    LaunchFailed = 719,
    CooperativeLaunchTooLarge = 720,
    NotPermitted = 800,
    NotSupported = 801,
    SystemNotReady = 802,
    SystemDriverMismatch = 803,
    CompatNotSupportedOnDevice = 804,
    StreamCaptureUnsupported = 900,
    StreamCaptureInvalidated = 901,
    StreamCaptureMerge = 902,
    StreamCaptureUnmatched = 903,
    StreamCaptureUnjoined = 904,
    StreamCaptureIsolation = 905,
    StreamCaptureImplicit = 906,
    CapturedEvent = 907,
    StreamCaptureWrongThread = 908,
    GraphExecUpdateFailure = 910,
    InvalidClusterSize = 912,
    Unknown = 999,
}

/// <summary>Names and sentences of the driver's codes.</summary>
internal static class CudaResultText
{
    internal const string Library = "CUDA driver";

    private const string LostTail = "the context is lost, and with it everything on the device";

    /// <summary>Name, meaning and kind of a code. A code that this list lacks is put to the driver itself.</summary>
    internal static StatusText Describe(CudaResult code) => code switch
    {
        CudaResult.Success => new("CUDA_SUCCESS", "no error"),
        CudaResult.InvalidValue => new("CUDA_ERROR_INVALID_VALUE", "an argument is outside its range"),
        CudaResult.OutOfMemory => new("CUDA_ERROR_OUT_OF_MEMORY", "the device, or the host for pinned memory, has not enough memory left", FailureKind.OutOfMemory),
        CudaResult.NotInitialized => new("CUDA_ERROR_NOT_INITIALIZED", "the driver has not been initialised"),
        CudaResult.Deinitialized => new("CUDA_ERROR_DEINITIALIZED", "the driver is shutting down with the process"),
        CudaResult.StubLibrary => new("CUDA_ERROR_STUB_LIBRARY", "the loaded libcuda is the toolkit's stub for linking, not a driver"),
        CudaResult.CallRequiresNewerDriver => new("CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", "the call needs a newer driver"),
        CudaResult.DeviceUnavailable => new("CUDA_ERROR_DEVICE_UNAVAILABLE", "the device was taken away, or another process has it for itself; " + LostTail, FailureKind.DeviceLost),
        CudaResult.NoDevice => new("CUDA_ERROR_NO_DEVICE", "the driver sees no GPU"),
        CudaResult.InvalidDevice => new("CUDA_ERROR_INVALID_DEVICE", "there is no device of that number"),
        CudaResult.InvalidImage => new("CUDA_ERROR_INVALID_IMAGE", "the module is neither PTX nor a GPU binary"),
        CudaResult.InvalidContext => new("CUDA_ERROR_INVALID_CONTEXT", "no valid context is current on this thread (CudaContext.MakeCurrent)"),
        CudaResult.NoBinaryForGpu => new("CUDA_ERROR_NO_BINARY_FOR_GPU", "the module holds no code for this GPU"),
        CudaResult.EccUncorrectable => new("CUDA_ERROR_ECC_UNCORRECTABLE", "an uncorrectable memory error occurred on the device; " + LostTail, FailureKind.DeviceLost),
        CudaResult.InvalidPtx => new("CUDA_ERROR_INVALID_PTX", "the driver's compiler refused the PTX"),
        CudaResult.NvlinkUncorrectable => new("CUDA_ERROR_NVLINK_UNCORRECTABLE", "an uncorrectable NVLink error occurred; " + LostTail, FailureKind.DeviceLost),
        CudaResult.JitCompilerNotFound => new("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver's PTX compiler (libnvidia-ptxjitcompiler) is missing"),
        CudaResult.UnsupportedPtxVersion => new("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is of a newer version than the driver understands"),
        CudaResult.FileNotFound => new("CUDA_ERROR_FILE_NOT_FOUND", "a file was not found"),
        CudaResult.OperatingSystem => new("CUDA_ERROR_OPERATING_SYSTEM", "a call of the operating system failed"),
        CudaResult.InvalidHandle => new("CUDA_ERROR_INVALID_HANDLE", "a handle is not valid, or belongs to another context"),
        CudaResult.NotFound => new("CUDA_ERROR_NOT_FOUND", "a named symbol was not found"),
        CudaResult.NotReady => new("CUDA_ERROR_NOT_READY", "the work has not finished yet"),
        CudaResult.IllegalAddress => new("CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel accessed memory that is not its own; " + LostTail, FailureKind.DeviceLost),
        CudaResult.LaunchOutOfResources => new("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "the launch needs more registers, threads or shared memory than a block can have"),
        CudaResult.LaunchTimeout => new("CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel ran longer than the display driver allows; " + LostTail, FailureKind.DeviceLost),
        CudaResult.ContextIsDestroyed => new("CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context has been destroyed", FailureKind.DeviceLost),
        CudaResult.Assert => new("CUDA_ERROR_ASSERT", "a kernel's assertion failed; " + LostTail, FailureKind.DeviceLost),
        CudaResult.HostMemoryAlreadyRegistered => new("CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the host memory is page-locked already"),
        CudaResult.HostMemoryNotRegistered => new("CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the host memory is not page-locked"),
        CudaResult.HardwareStackError => new("CUDA_ERROR_HARDWARE_STACK_ERROR", "a kernel's call stack was damaged; " + LostTail, FailureKind.DeviceLost),
        CudaResult.IllegalInstruction => new("CUDA_ERROR_ILLEGAL_INSTRUCTION", "a kernel met an illegal instruction; " + LostTail, FailureKind.DeviceLost),
        CudaResult.MisalignedAddress => new("CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel accessed a misaligned address; " + LostTail, FailureKind.DeviceLost),
        CudaResult.InvalidAddressSpace => new("CUDA_ERROR_INVALID_ADDRESS_SPACE", "a kernel accessed an address of the wrong state space; " + LostTail, FailureKind.DeviceLost),
        CudaResult.InvalidPc => new("CUDA_ERROR_INVALID_PC", "a kernel's program counter left its code; " + LostTail, FailureKind.DeviceLost),
        CudaResult.LaunchFailed => new("CUDA_ERROR_LAUNCH_FAILED", "a kernel failed while it ran; " + LostTail, FailureKind.DeviceLost),
        CudaResult.CooperativeLaunchTooLarge => new("CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "the cooperative grid does not fit on the device at once"),
        CudaResult.NotPermitted => new("CUDA_ERROR_NOT_PERMITTED", "the operation is not permitted"),
        CudaResult.NotSupported => new("CUDA_ERROR_NOT_SUPPORTED", "the device or driver does not support the operation"),
        CudaResult.SystemNotReady => new("CUDA_ERROR_SYSTEM_NOT_READY", "the system is not ready for CUDA (is the fabric manager running?)"),
        CudaResult.SystemDriverMismatch => new("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel's driver are of different versions (restart after an update)"),
        CudaResult.CompatNotSupportedOnDevice => new("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the forward-compatibility libcuda does not support this GPU"),
        CudaResult.StreamCaptureUnsupported => new("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "the operation cannot be captured into a graph"),
        CudaResult.StreamCaptureInvalidated => new("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier error made the capture invalid"),
        CudaResult.StreamCaptureMerge => new("CUDA_ERROR_STREAM_CAPTURE_MERGE", "the operation would merge two captures"),
        CudaResult.StreamCaptureUnmatched => new("CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture was not begun on this stream"),
        CudaResult.StreamCaptureUnjoined => new("CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a stream that joined the capture was not joined back"),
        CudaResult.StreamCaptureIsolation => new("CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a dependency crosses the capture's border"),
        CudaResult.StreamCaptureImplicit => new("CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the operation depends on the legacy default stream, which cannot be captured"),
        CudaResult.CapturedEvent => new("CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capture"),
        CudaResult.StreamCaptureWrongThread => new("CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "the capture was begun on another thread"),
        CudaResult.GraphExecUpdateFailure => new("CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph differs too much from the executable one"),
        CudaResult.InvalidClusterSize => new("CUDA_ERROR_INVALID_CLUSTER_SIZE", "the cluster size is not possible"),
        CudaResult.Unknown => new("CUDA_ERROR_UNKNOWN", "the driver does not say what failed"),
        _ => Ask(code),
    };

    private static unsafe StatusText Ask(CudaResult code)
    {
        byte* name = null;
        byte* text = null;
        return DriverApi.cuGetErrorName(code, &name) == CudaResult.Success && DriverApi.cuGetErrorString(code, &text) == CudaResult.Success
            ? new(Marshal.PtrToStringUTF8((nint)name) ?? "", Marshal.PtrToStringUTF8((nint)text) ?? "")
            : StatusText.Unlisted;
    }
}

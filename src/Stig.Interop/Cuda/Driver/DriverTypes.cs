using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda;

/// <summary>CUdevice_attribute, the values that are asked for.</summary>
internal enum DeviceAttribute
{
    SharedMemoryPerBlock = 8,
    MultiprocessorCount = 16,
    MemoryClockKilohertz = 36,
    MemoryBusWidthBits = 37,
    L2CacheBytes = 38,
    MaxThreadsPerMultiprocessor = 39,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    SharedMemoryPerBlockOptIn = 97,
    MemoryPoolsSupported = 115,
}

/// <summary>CUfunction_attribute.</summary>
internal enum FunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedBytes = 1,
    ConstantBytes = 2,
    LocalBytes = 3,
    Registers = 4,
    PtxVersion = 5,
    BinaryVersion = 6,
    MaxDynamicSharedBytes = 8,
}

/// <summary>CUjit_option.</summary>
internal enum JitOption
{
    InfoLogBuffer = 3,
    InfoLogBufferBytes = 4,
    ErrorLogBuffer = 5,
    ErrorLogBufferBytes = 6,
    GenerateLineInfo = 13,
}

/// <summary>CUmemPool_attribute.</summary>
internal enum MemoryPoolAttribute
{
    ReleaseThreshold = 4,
    ReservedCurrent = 5,
    ReservedHigh = 6,
    UsedCurrent = 7,
    UsedHigh = 8,
}

/// <summary>CUstreamCaptureMode.</summary>
internal enum CaptureMode
{
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}

/// <summary>CUstreamCaptureStatus.</summary>
internal enum CaptureStatus
{
    None = 0,
    Active = 1,
    Invalidated = 2,
}

/// <summary>CUmemorytype.</summary>
internal enum MemoryType
{
    Host = 1,
    Device = 2,
}

/// <summary>Flags of the driver calls, named by call.</summary>
internal static class DriverFlags
{
    internal const uint StreamNonBlocking = 1;
    internal const uint EventDefault = 0;
    internal const uint EventDisableTiming = 2;
    internal const uint HostAllocPortable = 1;
    internal const uint HostAllocWriteCombined = 4;
    internal const int MemoryAllocationPinned = 1;
    internal const int MemoryLocationDevice = 1;
}

/// <summary>CUmemPoolProps, 88 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 88)]
internal struct MemoryPoolProperties
{
    public int AllocationType;
    public int HandleTypes;
    public int LocationType;
    public int LocationId;
    public nint Win32SecurityAttributes;
    public nuint MaxBytes;
    public ushort Usage;
}

/// <summary>CUDA_MEMCPY2D, 128 bytes: offsets, pitches and the width in bytes, the height in rows.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MemoryCopy2D
{
    public nuint SourceX;
    public nuint SourceY;
    public MemoryType SourceType;
    public nint SourceHost;
    public ulong SourceDevice;
    public nint SourceArray;
    public nuint SourcePitch;
    public nuint DestinationX;
    public nuint DestinationY;
    public MemoryType DestinationType;
    public nint DestinationHost;
    public ulong DestinationDevice;
    public nint DestinationArray;
    public nuint DestinationPitch;
    public nuint WidthBytes;
    public nuint Height;
}

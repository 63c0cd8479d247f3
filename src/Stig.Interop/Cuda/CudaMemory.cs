using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>
/// Device memory. With a stream it comes from the context's pool, in the stream's order: work queued on that stream before the
/// disposal may still use it. Without a stream, or on a device without pools, allocating and disposing wait for the device.
/// </summary>
public sealed unsafe class DeviceMemory : CudaResource
{
    private readonly ulong pointer;
    private readonly CudaStream? stream;

    private DeviceMemory(CudaContext context, ulong pointer, long bytes, CudaStream? stream) : base(context, stream)
    {
        this.pointer = pointer;
        Bytes = bytes;
        this.stream = stream;
    }

    /// <summary>The CUdeviceptr; a multiple of 256.</summary>
    /// <exception cref="ObjectDisposedException">The memory has been disposed.</exception>
    public ulong Pointer
    {
        get
        {
            ThrowIfDisposed();
            return pointer;
        }
    }

    /// <summary>Extent.</summary>
    public long Bytes { get; }

    /// <summary>Allocates; what the memory holds is undefined.</summary>
    /// <param name="context">Where it lives.</param>
    /// <param name="bytes">Extent, at least 1.</param>
    /// <param name="stream">The stream in whose order it is allocated and freed; null for none.</param>
    /// <exception cref="DeviceOutOfMemoryException">The device has not enough memory left.</exception>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static DeviceMemory Allocate(CudaContext context, long bytes, CudaStream? stream = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        context.ReleaseForgotten();
        using CudaContext.Scope scope = context.Use();
        ulong pointer;
        if (stream is not null && context.Device.SupportsMemoryPools)
        {
            CheckAllocation(cuMemAllocFromPoolAsync(&pointer, (nuint)bytes, context.Pool(), stream.Handle), bytes);
            return new DeviceMemory(context, pointer, bytes, stream);
        }

        CheckAllocation(cuMemAlloc_v2(&pointer, (nuint)bytes), bytes);
        return new DeviceMemory(context, pointer, bytes, null);
    }

    private protected override void Release()
    {
        if (stream is null)
        {
            Context.NoteRelease(cuMemFree_v2(pointer), nameof(cuMemFree_v2));
        }
        else
        {
            Context.NoteRelease(stream.Free(pointer), nameof(cuMemFreeAsync));
        }
    }
}

/// <summary>Page-locked host memory: the only kind that is copied beside the host's work.</summary>
public sealed unsafe class PinnedMemory : CudaResource
{
    private readonly void* pointer;

    private PinnedMemory(CudaContext context, void* pointer, long bytes) : base(context)
    {
        this.pointer = pointer;
        Bytes = bytes;
    }

    /// <summary>Host address.</summary>
    /// <exception cref="ObjectDisposedException">The memory has been disposed.</exception>
    public nint Pointer
    {
        get
        {
            ThrowIfDisposed();
            return (nint)pointer;
        }
    }

    /// <summary>Extent.</summary>
    public long Bytes { get; }

    /// <summary>Allocates; what the memory holds is undefined.</summary>
    /// <param name="context">The context that copies from or to it.</param>
    /// <param name="bytes">Extent, at least 1.</param>
    /// <param name="writeCombined">For memory that the host only writes: faster copies to the device, very slow reads on the host.</param>
    /// <exception cref="DeviceOutOfMemoryException">The host cannot lock that much.</exception>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static PinnedMemory Allocate(CudaContext context, long bytes, bool writeCombined = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        context.ReleaseForgotten();
        using CudaContext.Scope scope = context.Use();
        void* pointer;
        uint flags = DriverFlags.HostAllocPortable | (writeCombined ? DriverFlags.HostAllocWriteCombined : 0);
        CheckAllocation(cuMemHostAlloc(&pointer, (nuint)bytes, flags), bytes);
        return new PinnedMemory(context, pointer, bytes);
    }

    /// <summary>A part of the memory as values. It must not be used after the disposal.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="byteOffset">Where the part begins.</param>
    /// <param name="length">Number of values.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the memory.</exception>
    public Span<T> AsSpan<T>(long byteOffset, int length)
        where T : unmanaged
    {
        ThrowIfDisposed();
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(byteOffset + ((long)length * sizeof(T)), Bytes);
        return new Span<T>((byte*)pointer + byteOffset, length);
    }

    private protected override void Release() => Context.NoteRelease(cuMemFreeHost(pointer), nameof(cuMemFreeHost));
}

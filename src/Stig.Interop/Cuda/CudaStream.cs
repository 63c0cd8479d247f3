using System.Diagnostics.CodeAnalysis;
using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>
/// A stream: work queued on it runs in order. Copies and fills are queued and return at once; only the members whose name says so
/// wait. The context must be current on the calling thread.
/// </summary>
[SuppressMessage("Naming", "CA1711", Justification = "A CUDA stream is called a stream.")]
public sealed unsafe class CudaStream : CudaResource
{
    private readonly nint handle;
    private readonly bool owned;

    private CudaStream(CudaContext context, nint handle, bool owned) : base(context)
    {
        this.handle = handle;
        this.owned = owned;
    }

    /// <summary>The CUstream.</summary>
    /// <exception cref="ObjectDisposedException">The stream has been disposed.</exception>
    public nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>Whether all queued work has finished. Does not wait.</summary>
    /// <exception cref="CudaException">Queued work failed.</exception>
    public bool IsIdle
    {
        get
        {
            CudaResult status = cuStreamQuery(Handle);
            if (status == CudaResult.NotReady)
            {
                return false;
            }

            Check(status, nameof(cuStreamQuery));
            return true;
        }
    }

    /// <summary>Whether the stream is being captured into a graph.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public bool IsCapturing
    {
        get
        {
            CaptureStatus status;
            Check(cuStreamIsCapturing(Handle, &status));
            return status != CaptureStatus.None;
        }
    }

    /// <summary>Makes a stream that does not wait for the legacy default stream.</summary>
    /// <param name="context">Where it lives.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static CudaStream Create(CudaContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using CudaContext.Scope scope = context.Use();
        nint stream;
        Check(cuStreamCreate(&stream, DriverFlags.StreamNonBlocking));
        return new CudaStream(context, stream, owned: true);
    }

    /// <summary>Uses a stream of other CUDA code, which stays its owner.</summary>
    /// <param name="context">The context that the stream belongs to.</param>
    /// <param name="handle">A CUstream; 0 is the legacy default stream, which cannot be captured.</param>
    public static CudaStream Borrow(CudaContext context, nint handle)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new CudaStream(context, handle, owned: false);
    }

    /// <summary>Waits for all queued work.</summary>
    /// <exception cref="DeviceLostException">A kernel failed and took the context with it.</exception>
    /// <exception cref="CudaException">Queued work failed.</exception>
    public void Synchronize() => Check(cuStreamSynchronize(Handle));

    /// <summary>Makes work queued from now on wait for an event.</summary>
    /// <param name="event">A recorded event.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Wait(CudaEvent @event)
    {
        ArgumentNullException.ThrowIfNull(@event);
        Check(cuStreamWaitEvent(Handle, @event.Handle, 0));
    }

    /// <summary>
    /// Queues a copy from the host. From pinned memory it runs beside the host, which must leave the source alone until the copy has
    /// finished; from other memory the driver waits.
    /// </summary>
    /// <param name="destination">Device address.</param>
    /// <param name="source">Host address.</param>
    /// <param name="bytes">Extent.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void CopyToDevice(ulong destination, nint source, long bytes) =>
        Check(cuMemcpyHtoDAsync_v2(destination, (void*)source, Extent(bytes), Handle), $"{bytes} bytes from the host to 0x{destination:x}");

    /// <summary>Queues a copy to the host; see <see cref="CopyToDevice"/>.</summary>
    /// <param name="destination">Host address.</param>
    /// <param name="source">Device address.</param>
    /// <param name="bytes">Extent.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void CopyToHost(nint destination, ulong source, long bytes) =>
        Check(cuMemcpyDtoHAsync_v2((void*)destination, source, Extent(bytes), Handle), $"{bytes} bytes from 0x{source:x} to the host");

    /// <summary>Copies values to the device and waits for the copy.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="destination">Device address.</param>
    /// <param name="source">Values.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void CopyToDeviceAndWait<T>(ulong destination, ReadOnlySpan<T> source)
        where T : unmanaged
    {
        if (source.IsEmpty)
        {
            return;
        }

        fixed (T* pointer = source)
        {
            CopyToDevice(destination, (nint)pointer, (long)source.Length * sizeof(T));
            Synchronize();
        }
    }

    /// <summary>Copies values to the host and waits for the copy.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="destination">Where the values go.</param>
    /// <param name="source">Device address.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void CopyToHostAndWait<T>(Span<T> destination, ulong source)
        where T : unmanaged
    {
        if (destination.IsEmpty)
        {
            return;
        }

        fixed (T* pointer = destination)
        {
            CopyToHost((nint)pointer, source, (long)destination.Length * sizeof(T));
            Synchronize();
        }
    }

    /// <summary>Queues a copy on the device.</summary>
    /// <param name="destination">Device address.</param>
    /// <param name="source">Device address.</param>
    /// <param name="bytes">Extent.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Copy(ulong destination, ulong source, long bytes) =>
        Check(cuMemcpyDtoDAsync_v2(destination, source, Extent(bytes), Handle), $"{bytes} bytes from 0x{source:x} to 0x{destination:x}");

    /// <summary>Queues a copy of rows on the device, such as the channels of each pixel into a part of a wider tensor.</summary>
    /// <param name="destination">Device address of the first row.</param>
    /// <param name="destinationPitch">Bytes between rows there.</param>
    /// <param name="source">Device address of the first row.</param>
    /// <param name="sourcePitch">Bytes between rows there.</param>
    /// <param name="rowBytes">Bytes copied of each row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <exception cref="CudaException">The driver failed, or a pitch is beyond the device's limit.</exception>
    public void CopyRows(ulong destination, long destinationPitch, ulong source, long sourcePitch, long rowBytes, long rows)
    {
        MemoryCopy2D copy = new()
        {
            SourceType = MemoryType.Device,
            SourceDevice = source,
            SourcePitch = Extent(sourcePitch),
            DestinationType = MemoryType.Device,
            DestinationDevice = destination,
            DestinationPitch = Extent(destinationPitch),
            WidthBytes = Extent(rowBytes),
            Height = Extent(rows),
        };
        Check(cuMemcpy2DAsync_v2(&copy, Handle), $"{rows} rows of {rowBytes} bytes, pitches {sourcePitch} and {destinationPitch}");
    }

    /// <summary>Queues a fill with zero bytes.</summary>
    /// <param name="destination">Device address.</param>
    /// <param name="bytes">Extent.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Clear(ulong destination, long bytes) => Check(cuMemsetD8Async(destination, 0, Extent(bytes), Handle), $"{bytes} bytes at 0x{destination:x}");

    /// <summary>Queues a fill with a 32-bit value.</summary>
    /// <param name="destination">Device address, a multiple of 4.</param>
    /// <param name="value">Bits of the value.</param>
    /// <param name="count">Number of values.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Fill(ulong destination, uint value, long count) =>
        Check(cuMemsetD32Async(destination, value, Extent(count), Handle), $"{count} values at 0x{destination:x}");

    /// <summary>A size as the driver takes it.</summary>
    internal static nuint Extent(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        return (nuint)value;
    }

    /// <summary>Frees memory in this stream's order, also when the stream itself has been disposed and lives on for that memory only.</summary>
    internal CudaResult Free(ulong pointer) => cuMemFreeAsync(pointer, handle);

    private protected override void Release()
    {
        if (owned)
        {
            Context.NoteRelease(cuStreamDestroy_v2(handle), nameof(cuStreamDestroy_v2));
        }
    }
}

/// <summary>A point in a stream's work.</summary>
public sealed unsafe class CudaEvent : CudaResource
{
    private readonly nint handle;

    private CudaEvent(CudaContext context, nint handle) : base(context) => this.handle = handle;

    /// <summary>The CUevent.</summary>
    /// <exception cref="ObjectDisposedException">The event has been disposed.</exception>
    public nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>Whether the work before the event has finished. Does not wait.</summary>
    /// <exception cref="CudaException">That work failed.</exception>
    public bool IsDone
    {
        get
        {
            CudaResult status = cuEventQuery(Handle);
            if (status == CudaResult.NotReady)
            {
                return false;
            }

            Check(status, nameof(cuEventQuery));
            return true;
        }
    }

    /// <summary>Makes an event.</summary>
    /// <param name="context">Where it lives.</param>
    /// <param name="timing">Whether <see cref="MillisecondsSince"/> will be asked; events without are cheaper.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static CudaEvent Create(CudaContext context, bool timing = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        using CudaContext.Scope scope = context.Use();
        nint created;
        Check(cuEventCreate(&created, timing ? DriverFlags.EventDefault : DriverFlags.EventDisableTiming));
        return new CudaEvent(context, created);
    }

    /// <summary>Marks the current end of a stream's work.</summary>
    /// <param name="stream">The stream.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Record(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Check(cuEventRecord(Handle, stream.Handle));
    }

    /// <summary>Waits for the work before the event.</summary>
    /// <exception cref="CudaException">That work failed.</exception>
    public void Synchronize() => Check(cuEventSynchronize(Handle));

    /// <summary>Time from another event to this one, both made with timing, recorded and done.</summary>
    /// <param name="start">The earlier event.</param>
    /// <returns>Milliseconds, to about half a microsecond.</returns>
    /// <exception cref="CudaException">An event is not done or has no timing.</exception>
    public float MillisecondsSince(CudaEvent start)
    {
        ArgumentNullException.ThrowIfNull(start);
        float milliseconds;
        Check(cuEventElapsedTime(&milliseconds, start.Handle, Handle));
        return milliseconds;
    }

    private protected override void Release() => Context.NoteRelease(cuEventDestroy_v2(handle), nameof(cuEventDestroy_v2));
}

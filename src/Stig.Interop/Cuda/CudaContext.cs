using System.Collections.Concurrent;
using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>
/// A device's context. Libraries (cuFFT, cuBLAS, cuDNN) work in the primary context, so that is the one that
/// <see cref="Open"/> takes; another library's context can be borrowed. Whatever is made in a context keeps it alive: it is given
/// back when it and everything made in it have been disposed.
/// </summary>
/// <remarks>
/// Streams, memory and the rest may be used from any thread on which the context is current: call <see cref="MakeCurrent"/> once
/// on each worker thread. Making and disposing things sets the context for themselves.
/// </remarks>
public sealed unsafe class CudaContext : IDisposable
{
    private readonly bool owned;
    private readonly Lock gate = new();
    private readonly ConcurrentQueue<CudaResource> forgotten = new();
    private int references = 1;
    private int disposed;
    private int forgottenCount;
    private nint pool;
    private volatile string? releaseFailure;

    private CudaContext(nint handle, CudaDeviceInfo device, bool owned)
    {
        Handle = handle;
        Device = device;
        this.owned = owned;
    }

    /// <summary>The CUcontext.</summary>
    public nint Handle { get; }

    /// <summary>The GPU it belongs to.</summary>
    public CudaDeviceInfo Device { get; }

    /// <summary>Things made in this context and not disposed yet.</summary>
    public int LiveResources => Math.Max(0, Volatile.Read(ref references) - (Volatile.Read(ref disposed) == 0 ? 1 : 0));

    /// <summary>Things that were dropped without being disposed and were left to the garbage collector: each is a mistake.</summary>
    public int ForgottenResources => Volatile.Read(ref forgottenCount);

    /// <summary>
    /// The last failure while something was released, with its call and code; null when there was none. Releasing never throws.
    /// </summary>
    public string? ReleaseFailure => releaseFailure;

    /// <summary>The CUcontext that is current on this thread; 0 for none.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    internal static nint CurrentHandle
    {
        get
        {
            nint current;
            Check(cuCtxGetCurrent(&current));
            return current;
        }

        set => Check(cuCtxSetCurrent(value));
    }

    /// <summary>Bytes free on the device and in all, over all processes.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public (long Free, long Total) Memory
    {
        get
        {
            using Scope scope = Use();
            nuint free;
            nuint total;
            Check(cuMemGetInfo_v2(&free, &total));
            return ((long)free, (long)total);
        }
    }

    /// <summary>Bytes that the context's pool holds of the device, and bytes of these in use; both 0 before the first allocation.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public (long Reserved, long Used) PoolMemory
    {
        get
        {
            nint current = Volatile.Read(ref pool);
            if (current == 0)
            {
                return (0, 0);
            }

            using Scope scope = Use();
            ulong reserved;
            ulong used;
            Check(cuMemPoolGetAttribute(current, MemoryPoolAttribute.ReservedCurrent, &reserved));
            Check(cuMemPoolGetAttribute(current, MemoryPoolAttribute.UsedCurrent, &used));
            return ((long)reserved, (long)used);
        }
    }

    /// <summary>Opens a GPU: checks driver and compute capability, retains the primary context and makes it current on this thread.</summary>
    /// <param name="ordinal">Number of the GPU, from 0.</param>
    /// <exception cref="CudaUnavailableException">Driver or GPU are missing or too old.</exception>
    /// <exception cref="DeviceOutOfMemoryException">The GPU has no room for a context.</exception>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static CudaContext Open(int ordinal)
    {
        CudaDeviceInfo device = CudaDeviceInfo.Get(ordinal);
        if (device.Unsuitability is { } reason)
        {
            throw new CudaUnavailableException(reason + ".");
        }

        nint handle;
        CudaResult status = cuDevicePrimaryCtxRetain(&handle, device.Device);
        if (status == CudaResult.DeviceUnavailable)
        {
            throw InUse(device);
        }

        Check(status, $"{device.DeviceName} ({device.Name})", nameof(cuDevicePrimaryCtxRetain));
        CudaContext context = new(handle, device, owned: true);
        try
        {
            context.MakeCurrent();
        }
        catch
        {
            context.Dispose();
            throw;
        }

        return context;
    }

    /// <summary>Uses a context of other CUDA code, which stays its owner and must keep it until this object is disposed.</summary>
    /// <param name="handle">A CUcontext.</param>
    /// <exception cref="CudaUnavailableException">The driver cannot be used.</exception>
    /// <exception cref="CudaException">The handle is no context.</exception>
    public static CudaContext Borrow(nint handle)
    {
        int count = CudaDriver.DeviceCount;
        using Scope scope = new(handle);
        int device;
        Check(cuCtxGetDevice(&device));
        for (int ordinal = 0; ordinal < count; ordinal++)
        {
            int candidate;
            Check(cuDeviceGet(&candidate, ordinal), $"device {ordinal} of {count}");
            if (candidate == device)
            {
                return new CudaContext(handle, CudaDeviceInfo.Read(ordinal, device), owned: false);
            }
        }

        throw new CudaUnavailableException("The context belongs to a device that the driver does not list.");
    }

    /// <summary>Makes this context the current one of this thread.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void MakeCurrent()
    {
        ObjectDisposedException.ThrowIf(disposed != 0, this);
        Check(cuCtxSetCurrent(Handle));
    }

    /// <summary>Waits for all work in this context.</summary>
    /// <exception cref="DeviceLostException">A kernel failed and took the context with it.</exception>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Synchronize()
    {
        using Scope scope = Use();
        Check(cuCtxSynchronize());
        ReleaseForgotten();
    }

    /// <summary>Gives memory that the pool holds and nobody uses back to the device. Waits for all work first.</summary>
    /// <param name="keepBytes">Bytes that the pool may keep.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void TrimPool(long keepBytes = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(keepBytes);
        Synchronize();
        nint current = Volatile.Read(ref pool);
        if (current != 0)
        {
            using Scope scope = Use();
            Check(cuMemPoolTrimTo(current, (nuint)keepBytes), $"keep {keepBytes} bytes");
        }
    }

    /// <summary>Lets go of the context: it is given back once everything made in it has been disposed too. Never throws.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            RemoveReference();
        }
    }

    /// <summary>Sets this context for a block and restores the one before.</summary>
    internal Scope Use() => new(Handle);

    /// <summary>The pool that this context's memory comes from, made when first asked for; it keeps what is freed for the next allocation.</summary>
    internal nint Pool()
    {
        lock (gate)
        {
            if (pool != 0)
            {
                return pool;
            }

            MemoryPoolProperties properties = new()
            {
                AllocationType = DriverFlags.MemoryAllocationPinned,
                LocationType = DriverFlags.MemoryLocationDevice,
                LocationId = Device.Device,
            };
            nint created;
            Check(cuMemPoolCreate(&created, &properties));

            // The default threshold of 0 returns everything to the device at every synchronisation.
            ulong threshold = ulong.MaxValue;
            CudaResult status = cuMemPoolSetAttribute(created, MemoryPoolAttribute.ReleaseThreshold, &threshold);
            if (status != CudaResult.Success)
            {
                NoteRelease(cuMemPoolDestroy(created), nameof(cuMemPoolDestroy));
                Check(status, nameof(cuMemPoolSetAttribute));
            }

            return pool = created;
        }
    }

    internal void AddReference()
    {
        ObjectDisposedException.ThrowIf(disposed != 0, this);
        Interlocked.Increment(ref references);
    }

    internal void RemoveReference()
    {
        if (Interlocked.Decrement(ref references) == 0)
        {
            Close();
        }
    }

    /// <summary>Takes something that its user dropped; it is released on a thread that uses the context, not on the collector's.</summary>
    internal void Forget(CudaResource resource)
    {
        Interlocked.Increment(ref forgottenCount);
        forgotten.Enqueue(resource);
    }

    /// <summary>Releases what was dropped without being disposed.</summary>
    internal void ReleaseForgotten()
    {
        while (forgotten.TryDequeue(out CudaResource? resource))
        {
            resource.Dispose();
        }
    }

    /// <summary>
    /// Keeps a failure of a release for <see cref="ReleaseFailure"/>. At process exit the driver is gone before us, which is no
    /// failure; a lost context says so at the next call that can throw.
    /// </summary>
    internal void NoteRelease(CudaResult status, string function)
    {
        if (status is CudaResult.Success or CudaResult.Deinitialized)
        {
            return;
        }

        StatusText text = CudaResultText.Describe(status);
        NoteRelease(CudaResultText.Library, function, text.Name, (int)status);
    }

    internal void NoteRelease(string library, string function, string name, int code) =>
        releaseFailure = FormattableString.Invariant($"{library}: {function} returned {name} ({code})");

    // Before there is a context, this code means the device's compute mode.
    private static CudaUnavailableException InUse(CudaDeviceInfo device)
    {
        StatusText text = CudaResultText.Describe(CudaResult.DeviceUnavailable);
        return new CudaUnavailableException(
            $"{device.DeviceName} ({device.Name}) gives no context: another process has it for itself, or its compute mode prohibits any. "
            + $"See `nvidia-smi -q -d COMPUTE`, wait for that process, or choose another device. (cuDevicePrimaryCtxRetain: {text.Name}, {(int)CudaResult.DeviceUnavailable})",
            new FailedCall(CudaResultText.Library, nameof(cuDevicePrimaryCtxRetain), (int)CudaResult.DeviceUnavailable, text.Name));
    }

    private void Close()
    {
        if (pool != 0)
        {
            using (Scope scope = Scope.ForRelease(this))
            {
                NoteRelease(cuMemPoolDestroy(pool), nameof(cuMemPoolDestroy));
            }

            pool = 0;
        }

        if (owned)
        {
            NoteRelease(cuDevicePrimaryCtxRelease_v2(Device.Device), nameof(cuDevicePrimaryCtxRelease_v2));
        }
    }

    /// <summary>A context pushed for the length of a block.</summary>
    internal readonly ref struct Scope
    {
        private readonly bool pushed;

        internal Scope(nint context)
        {
            Check(cuCtxPushCurrent_v2(context));
            pushed = true;
        }

        private Scope(bool pushed) => this.pushed = pushed;

        /// <summary>The same for releasing, where nothing may be thrown.</summary>
        internal static Scope ForRelease(CudaContext context)
        {
            CudaResult status = cuCtxPushCurrent_v2(context.Handle);
            context.NoteRelease(status, nameof(cuCtxPushCurrent_v2));
            return new Scope(status == CudaResult.Success);
        }

        public void Dispose()
        {
            if (pushed)
            {
                // Popping what was pushed fails only when the context is lost, which every other call reports.
                nint popped;
                _ = cuCtxPopCurrent_v2(&popped);
            }
        }
    }
}

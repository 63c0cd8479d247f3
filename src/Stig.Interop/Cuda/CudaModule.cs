using System.Runtime.InteropServices;
using System.Text;
using Stig.Interop.Cuda.Loading;
using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>PTX, compiled by the driver for the device at hand, or a GPU binary.</summary>
public sealed unsafe class CudaModule : CudaResource
{
    private const int LogBytes = 64 * 1024;

    private readonly nint handle;

    private CudaModule(CudaContext context, nint handle, string name, string log) : base(context)
    {
        this.handle = handle;
        Name = name;
        CompilerLog = log;
    }

    /// <summary>The CUmodule.</summary>
    /// <exception cref="ObjectDisposedException">The module has been disposed.</exception>
    public nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>What the module is called in messages.</summary>
    public string Name { get; }

    /// <summary>What the driver's compiler had to say; usually empty.</summary>
    public string CompilerLog { get; }

    /// <summary>Loads a module.</summary>
    /// <param name="context">Where it lives.</param>
    /// <param name="name">What it is called in messages, such as its file name.</param>
    /// <param name="image">PTX text, or a GPU binary.</param>
    /// <param name="lineInfo">Whether profilers shall be able to relate instructions to lines of the PTX.</param>
    /// <exception cref="CudaException">The driver refuses the module; the message holds the compiler's log.</exception>
    public static CudaModule Load(CudaContext context, string name, ReadOnlySpan<byte> image, bool lineInfo = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (image.IsEmpty)
        {
            throw new ArgumentException("The module is empty.", nameof(image));
        }

        using CudaContext.Scope scope = context.Use();

        // PTX is passed without a length and must end with a zero byte.
        byte[] terminated = new byte[image.Length + 1];
        image.CopyTo(terminated);
        byte* logs = (byte*)NativeMemory.AllocZeroed(2 * LogBytes);
        try
        {
            JitOption* options = stackalloc JitOption[]
            {
                JitOption.ErrorLogBuffer, JitOption.ErrorLogBufferBytes, JitOption.InfoLogBuffer, JitOption.InfoLogBufferBytes, JitOption.GenerateLineInfo,
            };
            void** values = stackalloc void*[] { logs, (void*)LogBytes, logs + LogBytes, (void*)LogBytes, (void*)1 };
            nint module;
            CudaResult status;
            fixed (byte* data = terminated)
            {
                status = cuModuleLoadDataEx(&module, data, lineInfo ? 5u : 4u, options, values);
            }

            if (status != CudaResult.Success)
            {
                Check(status, $"module {name}{Version(status, image)}{Log(logs)}", nameof(cuModuleLoadDataEx));
            }

            return new CudaModule(context, module, name, Log(logs + LogBytes).TrimStart());
        }
        finally
        {
            NativeMemory.Free(logs);
        }
    }

    /// <summary>Finds a kernel.</summary>
    /// <param name="entry">Its name.</param>
    /// <exception cref="CudaException">The module has no kernel of that name.</exception>
    public CudaFunction GetFunction(string entry)
    {
        ArgumentException.ThrowIfNullOrEmpty(entry);
        using CudaContext.Scope scope = Context.Use();
        nint function;
        fixed (byte* text = Encoding.UTF8.GetBytes(entry + '\0'))
        {
            Check(cuModuleGetFunction(&function, Handle, text), $"kernel {entry} of module {Name}");
        }

        return new CudaFunction(this, function, entry);
    }

    /// <summary>Finds a global variable.</summary>
    /// <param name="variable">Its name.</param>
    /// <returns>Its device address and its extent in bytes.</returns>
    /// <exception cref="CudaException">The module has no variable of that name.</exception>
    public (ulong Pointer, long Bytes) GetGlobal(string variable)
    {
        ArgumentException.ThrowIfNullOrEmpty(variable);
        using CudaContext.Scope scope = Context.Use();
        ulong pointer;
        nuint bytes;
        fixed (byte* text = Encoding.UTF8.GetBytes(variable + '\0'))
        {
            Check(cuModuleGetGlobal_v2(&pointer, &bytes, Handle, text), $"variable {variable} of module {Name}");
        }

        return (pointer, (long)bytes);
    }

    private protected override void Release() => Context.NoteRelease(cuModuleUnload(handle), nameof(cuModuleUnload));

    private static string Log(byte* log)
    {
        string text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(log)).Trim();
        return text.Length > 0 ? "\n" + text : "";
    }

    /// <summary>For PTX that is too new: its version and the driver's.</summary>
    private static string Version(CudaResult status, ReadOnlySpan<byte> image)
    {
        if (status != CudaResult.UnsupportedPtxVersion)
        {
            return "";
        }

        int at = image.IndexOf(".version"u8);
        int end = at < 0 ? -1 : image[at..].IndexOf((byte)'\n');
        string version = end < 0 ? "" : $" ({Encoding.UTF8.GetString(image.Slice(at, end)).Trim()})";
        return $"{version}, driver for CUDA {Versions.OfCuda(CudaDriver.Version)}: a newer driver is needed";
    }
}

/// <summary>A kernel of a module. It holds no native object of its own and lives as long as its module.</summary>
public sealed unsafe class CudaFunction
{
    private readonly nint handle;

    internal CudaFunction(CudaModule module, nint handle, string name)
    {
        Module = module;
        this.handle = handle;
        Name = name;
    }

    /// <summary>The module it belongs to.</summary>
    public CudaModule Module { get; }

    /// <summary>Its entry name.</summary>
    public string Name { get; }

    /// <summary>The CUfunction.</summary>
    /// <exception cref="ObjectDisposedException">The module has been disposed.</exception>
    public nint Handle
    {
        get
        {
            _ = Module.Handle;
            return handle;
        }
    }

    /// <summary>Registers that a thread uses.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public int Registers => Get(FunctionAttribute.Registers);

    /// <summary>Bytes of local memory that a thread uses; more than 0 means that registers are spilled.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public int LocalBytes => Get(FunctionAttribute.LocalBytes);

    /// <summary>Bytes of shared memory that a block uses before any that the launch adds.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public int StaticSharedBytes => Get(FunctionAttribute.SharedBytes);

    /// <summary>Threads that a block can have at most, given the registers in use.</summary>
    /// <exception cref="CudaException">The driver failed.</exception>
    public int MaxThreadsPerBlock => Get(FunctionAttribute.MaxThreadsPerBlock);

    /// <summary>Allows launches with more than 48 KiB of dynamic shared memory.</summary>
    /// <param name="bytes">Extent, up to <see cref="CudaDeviceInfo.SharedMemoryPerBlock"/>.</param>
    /// <exception cref="CudaException">The device has not that much.</exception>
    public void AllowDynamicShared(int bytes) =>
        Check(cuFuncSetAttribute(Handle, FunctionAttribute.MaxDynamicSharedBytes, bytes), $"kernel {Name}, {bytes} bytes of shared memory");

    /// <summary>Blocks that one multiprocessor holds at once.</summary>
    /// <param name="blockSize">Threads in a block.</param>
    /// <param name="dynamicSharedBytes">Shared memory that the launch adds.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public int ActiveBlocks(int blockSize, int dynamicSharedBytes = 0)
    {
        int blocks;
        Check(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, Handle, blockSize, CudaStream.Extent(dynamicSharedBytes)), $"kernel {Name}, {blockSize} threads");
        return blocks;
    }

    /// <summary>Queues the kernel on a stream.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="shape">Blocks and threads.</param>
    /// <param name="arguments">Values of the kernel's parameters, in their order and of their sizes; copied by the call.</param>
    /// <exception cref="CudaException">The driver refuses the launch.</exception>
    public void Launch(CudaStream stream, in LaunchShape shape, in KernelArguments arguments)
    {
        ArgumentNullException.ThrowIfNull(stream);
        fixed (KernelArguments* packed = &arguments)
        {
            void** pointers = stackalloc void*[KernelArguments.MaxCount];
            packed->FillPointers(pointers);
            Check(
                cuLaunchKernel(
                    Handle, shape.GridX, shape.GridY, shape.GridZ, shape.BlockX, shape.BlockY, shape.BlockZ, shape.DynamicSharedBytes,
                    stream.Handle, pointers, null),
                $"kernel {Name}, {shape}");
        }

        GC.KeepAlive(Module);
    }

    private int Get(FunctionAttribute attribute)
    {
        int value;
        Check(cuFuncGetAttribute(&value, attribute, Handle), $"{attribute} of kernel {Name}");
        GC.KeepAlive(Module);
        return value;
    }
}

/// <summary>How many blocks of how many threads a launch has.</summary>
/// <param name="GridX">Blocks along x, up to 2^31 - 1.</param>
/// <param name="GridY">Blocks along y, up to 65535.</param>
/// <param name="GridZ">Blocks along z, up to 65535.</param>
/// <param name="BlockX">Threads along x, up to 1024.</param>
/// <param name="BlockY">Threads along y, up to 1024.</param>
/// <param name="BlockZ">Threads along z, up to 64; a block has at most 1024 in all.</param>
/// <param name="DynamicSharedBytes">Shared memory of a block beyond what the kernel declares.</param>
public readonly record struct LaunchShape(uint GridX, uint GridY, uint GridZ, uint BlockX, uint BlockY, uint BlockZ, uint DynamicSharedBytes)
{
    /// <summary>One dimension.</summary>
    /// <param name="blocks">Number of blocks.</param>
    /// <param name="threads">Threads in a block.</param>
    /// <param name="dynamicSharedBytes">Shared memory of a block beyond what the kernel declares.</param>
    public LaunchShape(uint blocks, uint threads, uint dynamicSharedBytes = 0) : this(blocks, 1, 1, threads, 1, 1, dynamicSharedBytes) { }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant(
        $"grid {GridX} x {GridY} x {GridZ}, block {BlockX} x {BlockY} x {BlockZ}, {DynamicSharedBytes} bytes of dynamic shared memory");
}

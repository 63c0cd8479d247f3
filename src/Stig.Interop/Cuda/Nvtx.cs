using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Stig.Interop.Cuda;

/// <summary>
/// Named ranges for profilers (NVTX 3). The protocol needs no library of ours: a profiler names its own in NVTX_INJECTION64_PATH,
/// and that library writes its functions into slots that this class owns. Without a profiler a range costs one comparison.
/// </summary>
public static unsafe class Nvtx
{
    private const string InjectionVariable = "NVTX_INJECTION64_PATH";

    private const uint CallbacksTable = 1;
    private const uint VersionTable = 3;
    private const int CoreModule = 1;

    // Functions of the module CORE are numbered from 1 to 15; entry 0 stays empty.
    private const int CoreEntries = 16;
    private const int PushA = 9;
    private const int Pop = 11;
    private const int StackBytes = 256;

    // The profiler keeps pointers into these tables, so they live as long as the process.
    private static readonly nint* Slots = (nint*)NativeMemory.AllocZeroed(CoreEntries, (nuint)sizeof(nint));
    private static readonly nint** Entries = (nint**)NativeMemory.AllocZeroed(CoreEntries, (nuint)sizeof(nint));
    private static readonly nint* Callbacks = (nint*)NativeMemory.AllocZeroed(2, (nuint)sizeof(nint));
    private static readonly VersionInfo* Version = (VersionInfo*)NativeMemory.AllocZeroed((nuint)sizeof(VersionInfo));

    static Nvtx()
    {
        for (int i = 1; i < CoreEntries; i++)
        {
            Entries[i] = Slots + i;
        }

        Callbacks[0] = 2 * sizeof(nint);
        Callbacks[1] = (nint)(delegate* unmanaged<int, nint*, uint*, int>)&GetModuleFunctionTable;
        *Version = new VersionInfo { Size = (nuint)sizeof(VersionInfo), Version = 3, SetVersion = (nint)(delegate* unmanaged<uint, void>)&SetInjectionVersion };

        string? path = Environment.GetEnvironmentVariable(InjectionVariable);
        if (!string.IsNullOrEmpty(path)
            && NativeLibrary.TryLoad(path, out nint library)
            && NativeLibrary.TryGetExport(library, "InitializeInjectionNvtx2", out nint initialize))
        {
            Attach((delegate* unmanaged<delegate* unmanaged<uint, void*>, int>)initialize);
        }
    }

    /// <summary>Whether a profiler listens.</summary>
    public static bool IsEnabled { get; private set; }

    /// <summary>Opens a range on this thread, to be closed by disposing what it returns: <c>using (Nvtx.Range("step"))</c>.</summary>
    /// <param name="name">What the profiler shows.</param>
    public static NvtxRange Range(string name)
    {
        if (!IsEnabled)
        {
            return default;
        }

        ArgumentNullException.ThrowIfNull(name);
        Push(name);
        return new NvtxRange(open: true);
    }

    /// <summary>Hands the tables to a profiler's initialiser. A second profiler replaces the first.</summary>
    /// <returns>Whether it accepted.</returns>
    internal static bool Attach(delegate* unmanaged<delegate* unmanaged<uint, void*>, int> initialize) =>
        IsEnabled = initialize(&GetExportTable) == 1 && Slots[PushA] != 0 && Slots[Pop] != 0;

    internal static void PopRange()
    {
        nint pop = Slots[Pop];
        if (pop != 0)
        {
            _ = ((delegate* unmanaged<int>)pop)();
        }
    }

    private static void Push(string name)
    {
        int needed = Encoding.UTF8.GetMaxByteCount(name.Length) + 1;
        Span<byte> text = needed <= StackBytes ? stackalloc byte[StackBytes] : new byte[needed];
        text[Encoding.UTF8.GetBytes(name, text)] = 0;
        fixed (byte* pointer = text)
        {
            _ = ((delegate* unmanaged<byte*, int>)Slots[PushA])(pointer);
        }
    }

    [UnmanagedCallersOnly]
    private static void* GetExportTable(uint table) => table switch
    {
        CallbacksTable => Callbacks,
        VersionTable => Version,
        _ => null,
    };

    [UnmanagedCallersOnly]
    private static int GetModuleFunctionTable(int module, nint* table, uint* size)
    {
        if (module != CoreModule)
        {
            return 0;
        }

        if (table != null)
        {
            *table = (nint)Entries;
        }

        if (size != null)
        {
            *size = CoreEntries;
        }

        return 1;
    }

    /// <summary>The profiler tells its version; every version knows the functions in use.</summary>
    [UnmanagedCallersOnly]
    private static void SetInjectionVersion(uint version) { }

    [StructLayout(LayoutKind.Sequential)]
    private struct VersionInfo
    {
        public nuint Size;
        public uint Version;
        public uint Reserved;
        public nint SetVersion;
    }
}

/// <summary>An open range of a profiler; disposing closes it. The default value is no range.</summary>
public readonly ref struct NvtxRange
{
    private readonly bool open;

    internal NvtxRange(bool open) => this.open = open;

    /// <summary>Closes the range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Dispose()
    {
        if (open)
        {
            Nvtx.PopRange();
        }
    }
}

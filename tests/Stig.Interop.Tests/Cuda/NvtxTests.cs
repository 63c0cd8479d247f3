using System.Runtime.InteropServices;
using Stig.Interop.Cuda;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// Oracle: the injection protocol as a profiler sees it. The profiler here is this class: it asks for the tables and writes its functions
/// into the slots of the module CORE, as Nsight's library does.
/// </summary>
public sealed unsafe class NvtxTests
{
    private static readonly List<string> Seen = [];
    private static string failure = "";

    [Fact]
    public void Ranges_reach_an_injected_profiler()
    {
        Assert.SkipWhen(Nvtx.IsEnabled, "a profiler listens to this process");

        // Before a profiler comes, a range is nothing.
        long before = GC.GetAllocatedBytesForCurrentThread();
        using (Nvtx.Range("unseen"))
        {
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(Nvtx.Attach(&Initialize), failure);
        try
        {
            string longName = new('é', 400);
            using (Nvtx.Range("outer"))
            {
                using (Nvtx.Range(longName))
                {
                }
            }

            Assert.Equal(["push outer", "push " + longName, "pop", "pop"], Seen);
        }
        finally
        {
            Nvtx.Attach(&Refuse);
        }

        Assert.False(Nvtx.IsEnabled);
    }

    [UnmanagedCallersOnly]
    private static int Refuse(delegate* unmanaged<uint, void*> getExportTable) => 0;

    [UnmanagedCallersOnly]
    private static int Initialize(delegate* unmanaged<uint, void*> getExportTable)
    {
        nint* callbacks = (nint*)getExportTable(1);
        byte* version = (byte*)getExportTable(3);
        nint table;
        uint size;
        if (callbacks == null || callbacks[0] < 16 || version == null || *(uint*)(version + 8) != 3 || getExportTable(2) != null)
        {
            failure = "export tables";
            return 0;
        }

        ((delegate* unmanaged<uint, void>)*(nint*)(version + 16))(3);
        var getTable = (delegate* unmanaged<int, nint*, uint*, int>)callbacks[1];
        if (getTable(1, &table, &size) != 1 || size != 16 || getTable(99, &table, &size) == 1)
        {
            failure = "function table";
            return 0;
        }

        nint** entries = (nint**)table;
        if (entries[0] != null)
        {
            failure = "entry 0";
            return 0;
        }

        *entries[9] = (nint)(delegate* unmanaged<byte*, int>)&Push;
        *entries[11] = (nint)(delegate* unmanaged<int>)&Pop;
        return 1;
    }

    [UnmanagedCallersOnly]
    private static int Push(byte* name)
    {
        Seen.Add("push " + Marshal.PtrToStringUTF8((nint)name));
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int Pop()
    {
        Seen.Add("pop");
        return 0;
    }
}

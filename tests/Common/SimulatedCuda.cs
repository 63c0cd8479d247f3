using System.Runtime.InteropServices;
using System.Text;

namespace Stig.Tests;

/// <summary>
/// The simulated CUDA libraries (docs/cudasim.md): those that the build leaves in artifacts/cudasim, or other ones that STIG_CUDA_PATH names.
/// What is injected and asked for belongs to the whole process, so a test that does belongs to the collection of <see cref="OneDeviceTestAtATime"/>.
/// </summary>
internal static unsafe class SimulatedCuda
{
    private const string SearchVariable = "STIG_CUDA_PATH";
    private const string Driver = "libcuda.so.1";

    private static readonly Lazy<string?> Missing = new(Find);
    private static readonly Lazy<nint> Library = new(Load);

    /// <summary>The folder that the build leaves the simulated libraries in; null where it has not.</summary>
    public static string? BuiltFolder { get; } = Built();

    /// <summary>Skips the test where there are no simulated libraries, nor a folder of others in STIG_CUDA_PATH.</summary>
    public static void Require() => Assert.SkipWhen(Missing.Value is not null, Missing.Value ?? "");

    /// <summary>Whether failures can be injected: the driver in use is the simulated one.</summary>
    public static bool CanInject => Missing.Value is null && Library.Value != 0;

    /// <summary>Skips the test where the driver in use is not the simulated one: a real one lets nothing be injected.</summary>
    public static void RequireInjection()
    {
        Require();
        Assert.SkipUnless(CanInject, $"{SearchVariable} names a driver that is not simulated; it takes no injected failures.");
    }

    /// <summary>The n-th allocation from now on, of any kind, finds no memory; 0 switches it off.</summary>
    public static void FailAllocation(long n) => Call("cudasim_fail_allocation", n);

    /// <summary>Whether the failure that <see cref="FailAllocation"/> announced has struck.</summary>
    public static bool AllocationFailed => ((delegate* unmanaged<long>)Export("cudasim_allocations_until_failure"))() == 0;

    /// <summary>The n-th kernel or library operation from now on faults on the device; 0 switches it off.</summary>
    public static void FailLaunch(long n) => Call("cudasim_fail_launch", n);

    /// <summary>The n-th operation that is recorded from now on cannot be; 0 switches it off.</summary>
    public static void RefuseCapture(long n) => Call("cudasim_refuse_capture", n);

    /// <summary>The device is gone: every call fails.</summary>
    public static void LoseDevice() => ((delegate* unmanaged<void>)Export("cudasim_lose_device"))();

    /// <summary>A new device in place of one that was lost; whatever was made on the old one is dead.</summary>
    public static void Restart()
    {
        ((delegate* unmanaged<void>)Export("cudasim_reset"))();
        Assert.Equal(0, ((delegate* unmanaged<uint, int>)Export("cuInit"))(0));
    }

    /// <summary>Kernels launched since the start or the last restart.</summary>
    public static long KernelLaunches => (long)((delegate* unmanaged<ulong>)Export("cudasim_kernel_launches"))();

    /// <summary>
    /// What is allocated or held now, a line for each memory and kind of handle; empty when nothing is. Empty, too, where the driver is
    /// not simulated.
    /// </summary>
    public static string Leaks()
    {
        if (!CanInject)
        {
            return "";
        }

        byte[] text = new byte[64 * 1024];
        fixed (byte* pointer = text)
        {
            nuint length = ((delegate* unmanaged<byte*, nuint, nuint>)Export("cudasim_leak_report"))(pointer, (nuint)text.Length);
            return Encoding.UTF8.GetString(text, 0, Math.Min((int)length, text.Length - 1));
        }
    }

    private static void Call(string function, long n) => ((delegate* unmanaged<long, void>)Export(function))(n);

    private static nint Export(string name) => NativeLibrary.GetExport(Library.Value, name);

    private static nint Load()
    {
        string path = Path.Combine(Environment.GetEnvironmentVariable(SearchVariable)!.Split(Path.PathSeparator)[0], Driver);
        return NativeLibrary.TryLoad(path, out nint library) && NativeLibrary.TryGetExport(library, "cudasim_reset", out _) ? library : 0;
    }

    private static string? Find()
    {
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(SearchVariable)))
        {
            return null;
        }

        if (BuiltFolder is null)
        {
            return "The simulated CUDA libraries are not built (artifacts/cudasim).";
        }

        // Read when the first CUDA library is loaded, which is after this.
        Environment.SetEnvironmentVariable(SearchVariable, BuiltFolder);

        // What is measured here is of no use to anybody else.
        string cache = Path.Combine(AppContext.BaseDirectory, "cache");
        if (Directory.Exists(cache))
        {
            Directory.Delete(cache, recursive: true);
        }

        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", cache);
        return null;
    }

    private static string? Built()
    {
        string? libraries = Repository.Root is null ? null : Repository.PathOf("artifacts/cudasim");
        return libraries is not null && File.Exists(Path.Combine(libraries, Driver)) ? libraries : null;
    }
}

/// <summary>Tests that run something on a device: one at a time, since injected failures and call counts belong to the whole process.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class OneDeviceTestAtATime
{
    internal const string Name = "CUDA device";
}

namespace Stig.Interop;

/// <summary>The processor, as the Linux kernel describes it in <c>/proc/cpuinfo</c>.</summary>
/// <remarks>
/// The <c>IsSupported</c> properties of .NET's intrinsics do not serve: compiled ahead of time they are constants, false for
/// whatever lies beyond the level that the program was compiled for.
/// </remarks>
public static class ProcessorInfo
{
    private static readonly string[] Lines = File.Exists("/proc/cpuinfo") ? File.ReadAllLines("/proc/cpuinfo") : [];
    private static readonly HashSet<string> Flags = [.. (ValueOf("flags") ?? ValueOf("Features") ?? "").Split(' ')];

    /// <summary>Its model; null where the kernel does not say.</summary>
    public static string? Name => ValueOf("model name");

    /// <summary>Whether it has the AVX-512 instructions of x86-64-v4, for which the native core has a level of its own.</summary>
    public static bool HasAvx512 => Has("avx512f") && Has("avx512bw") && Has("avx512cd") && Has("avx512dq") && Has("avx512vl");

    /// <summary>Whether it has a feature that the operating system lets programs use.</summary>
    /// <param name="feature">The kernel's name of it, for example "avx2" or "asimd".</param>
    public static bool Has(string feature) => Flags.Contains(feature);

    // The first processor speaks for all.
    private static string? ValueOf(string key)
    {
        string? line = Lines.FirstOrDefault(line => line.Split(':')[0].Trim() == key);
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}

namespace Stig.Interop.Cuda.Loading;

/// <summary>The libraries of this process.</summary>
internal static class CudaLibraries
{
    internal static CudaLibraryLoader Loader { get; } = new(new CudaSearch(), new NativeLoader());
}

/// <summary>Version numbers as NVIDIA's libraries encode them.</summary>
internal static class Versions
{
    /// <summary>Driver and runtime: 12040 is 12.4.</summary>
    internal static string OfCuda(long value) => FormattableString.Invariant($"{value / 1000}.{value % 1000 / 10}");

    /// <summary>cuDNN 9: 90600 is 9.6.0; before: 8907 is 8.9.7.</summary>
    internal static string OfDnn(long value) => value >= 10000
        ? FormattableString.Invariant($"{value / 10000}.{value % 10000 / 100}.{value % 100}")
        : FormattableString.Invariant($"{value / 1000}.{value % 1000 / 100}.{value % 100}");

    /// <summary>cuFFT: 11303 is 11.3.3.</summary>
    internal static string OfFft(long value) => FormattableString.Invariant($"{value / 1000}.{value % 1000 / 100}.{value % 100}");

    /// <summary>cuBLAS and cuBLASLt: 120604 is 12.6.4.</summary>
    internal static string OfBlas(long value) => FormattableString.Invariant($"{value / 10000}.{value % 10000 / 100}.{value % 100}");
}

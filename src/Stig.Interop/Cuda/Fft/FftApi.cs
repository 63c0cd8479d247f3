using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda.Fft;

/// <summary>Raw declarations of cuFFT (libcufft.so.11 of CUDA 12, libcufft.so.12 of CUDA 13). A plan is an int; device pointers are ulong.</summary>
internal static unsafe partial class FftApi
{
    internal const string Library = "cufft";

    /// <summary>Every function declared here; a library that lacks one of them is refused when it is loaded.</summary>
    internal static readonly string[] EntryPoints =
    [
        nameof(cufftGetVersion), nameof(cufftCreate), nameof(cufftDestroy), nameof(cufftSetAutoAllocation),
        nameof(cufftMakePlanMany), nameof(cufftSetStream), nameof(cufftSetWorkArea), nameof(cufftExecC2C),
        nameof(cufftExecR2C), nameof(cufftExecC2R),
    ];

    static FftApi() => NativeResolver.Register();

    [LibraryImport(Library)]
    internal static partial FftResult cufftGetVersion(int* version);

    [LibraryImport(Library)]
    internal static partial FftResult cufftCreate(int* plan);

    [LibraryImport(Library)]
    internal static partial FftResult cufftDestroy(int plan);

    /// <summary>Must stand between <see cref="cufftCreate"/> and <see cref="cufftMakePlanMany"/>.</summary>
    [LibraryImport(Library)]
    internal static partial FftResult cufftSetAutoAllocation(int plan, int on);

    /// <summary>Null embeds mean packed data, whatever the strides say.</summary>
    [LibraryImport(Library)]
    internal static partial FftResult cufftMakePlanMany(
        int plan, int rank, int* n, int* inputEmbed, int inputStride, int inputDistance, int* outputEmbed, int outputStride,
        int outputDistance, FftType type, int batch, nuint* workBytes);

    [LibraryImport(Library)]
    internal static partial FftResult cufftSetStream(int plan, nint stream);

    [LibraryImport(Library)]
    internal static partial FftResult cufftSetWorkArea(int plan, ulong workArea);

    [LibraryImport(Library)]
    internal static partial FftResult cufftExecC2C(int plan, ulong input, ulong output, FftDirection direction);

    [LibraryImport(Library)]
    internal static partial FftResult cufftExecR2C(int plan, ulong input, ulong output);

    [LibraryImport(Library)]
    internal static partial FftResult cufftExecC2R(int plan, ulong input, ulong output);
}

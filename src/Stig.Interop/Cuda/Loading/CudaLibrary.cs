using System.Globalization;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;

namespace Stig.Interop.Cuda.Loading;

/// <summary>The libraries whose functions are called.</summary>
internal enum CudaLibrary
{
    Driver,
    BlasLt,
    Blas,
    Fft,
    Dnn,
}

/// <summary>
/// File names of the libraries. A library's number is its own: cuFFT is 11 under CUDA 12 and 12 under CUDA 13; cuDNN's is 9
/// whatever CUDA it was built for.
/// </summary>
internal static class CudaLibraryNames
{
    /// <summary>CUDA majors that are supported, newest first.</summary>
    internal static readonly int[] Majors = [13, 12];

    /// <summary>cuDNN's parts in the order in which they are loaded, before the library itself.</summary>
    internal static readonly string[] DnnParts =
        ["graph", "ops", "engines_runtime_compiled", "engines_precompiled", "heuristic", "cnn", "adv"];

    /// <summary>Name for people.</summary>
    internal static string Title(CudaLibrary library) => library switch
    {
        CudaLibrary.Driver => "CUDA driver",
        CudaLibrary.BlasLt => "cuBLASLt",
        CudaLibrary.Blas => "cuBLAS",
        CudaLibrary.Fft => "cuFFT",
        _ => "cuDNN 9",
    };

    /// <summary>Name of the file that the library of a CUDA major lies in; driver and cuDNN have the same for every major.</summary>
    internal static string File(CudaLibrary library, int major, bool windows) => (library, windows) switch
    {
        (CudaLibrary.Driver, false) => "libcuda.so.1",
        (CudaLibrary.Driver, true) => "nvcuda.dll",
        (CudaLibrary.BlasLt, false) => Text($"libcublasLt.so.{major}"),
        (CudaLibrary.BlasLt, true) => Text($"cublasLt64_{major}.dll"),
        (CudaLibrary.Blas, false) => Text($"libcublas.so.{major}"),
        (CudaLibrary.Blas, true) => Text($"cublas64_{major}.dll"),
        (CudaLibrary.Fft, false) => Text($"libcufft.so.{major - 1}"),
        (CudaLibrary.Fft, true) => Text($"cufft64_{major - 1}.dll"),
        (_, false) => "libcudnn.so.9",
        (_, true) => "cudnn64_9.dll",
    };

    /// <summary>File of one of cuDNN's parts.</summary>
    internal static string DnnPart(string part, bool windows) => windows ? $"cudnn_{part}64_9.dll" : $"libcudnn_{part}.so.9";

    /// <summary>File of the version of cuDNN before, to tell its owner what is wrong.</summary>
    internal static string OldDnn(bool windows) => windows ? "cudnn64_8.dll" : "libcudnn.so.8";

    internal static string NvJitLink(int major, bool windows) => windows ? Text($"nvJitLink_{major}0_0.dll") : Text($"libnvJitLink.so.{major}");

    internal static string Nvrtc(int major, bool windows) => windows ? Text($"nvrtc64_{major}0_0.dll") : Text($"libnvrtc.so.{major}");

    /// <summary>Pattern of the library beside NVRTC whose name carries the minor version.</summary>
    internal static string NvrtcBuiltins(int major, bool windows) =>
        windows ? Text($"nvrtc-builtins64_{major}*.dll") : Text($"libnvrtc-builtins.so.{major}*");

    /// <summary>Functions that a library must have.</summary>
    internal static string[] EntryPoints(CudaLibrary library) => library switch
    {
        CudaLibrary.Driver => DriverApi.EntryPoints,
        CudaLibrary.BlasLt => BlasLtApi.EntryPoints,
        CudaLibrary.Blas => BlasApi.EntryPoints,
        CudaLibrary.Fft => FftApi.EntryPoints,
        _ => DnnApi.EntryPoints,
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

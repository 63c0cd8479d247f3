using System.Runtime.InteropServices;

namespace Stig.Interop.Cuda.Blas;

/// <summary>
/// Raw declarations of cuBLAS. The classic names exist with the handle argument only as <c>_v2</c>; the plain ones are the
/// handle-less API of old with other signatures. Newer names have no suffix.
/// </summary>
internal static unsafe partial class BlasApi
{
    internal const string Library = "cublas";

    /// <summary>Every function declared here; a library that lacks one of them is refused when it is loaded.</summary>
    internal static readonly string[] EntryPoints =
    [
        nameof(cublasCreate_v2), nameof(cublasDestroy_v2), nameof(cublasGetVersion_v2), nameof(cublasSetStream_v2),
        nameof(cublasSetWorkspace_v2), nameof(cublasSetMathMode), nameof(cublasSetAtomicsMode), nameof(cublasGemmEx),
        nameof(cublasGemmStridedBatchedEx),
    ];

    static BlasApi() => NativeResolver.Register();

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasCreate_v2(nint* handle);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasDestroy_v2(nint handle);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasGetVersion_v2(nint handle, int* version);

    /// <summary>Always resets the workspace to the library's own: <see cref="cublasSetWorkspace_v2"/> follows every call.</summary>
    [LibraryImport(Library)]
    internal static partial BlasStatus cublasSetStream_v2(nint handle, nint stream);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasSetWorkspace_v2(nint handle, ulong workspace, nuint bytes);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasSetMathMode(nint handle, BlasMathMode mode);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasSetAtomicsMode(nint handle, int mode);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasGemmEx(
        nint handle, BlasOperation opA, BlasOperation opB, int m, int n, int k, void* alpha, ulong a, BlasDataType typeA, int lda,
        ulong b, BlasDataType typeB, int ldb, void* beta, ulong c, BlasDataType typeC, int ldc, BlasComputeType compute, int algorithm);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasGemmStridedBatchedEx(
        nint handle, BlasOperation opA, BlasOperation opB, int m, int n, int k, void* alpha, ulong a, BlasDataType typeA, int lda, long strideA,
        ulong b, BlasDataType typeB, int ldb, long strideB, void* beta, ulong c, BlasDataType typeC, int ldc, long strideC, int batch,
        BlasComputeType compute, int algorithm);
}

/// <summary>Raw declarations of cuBLASLt: what the probe and the loader need.</summary>
internal static unsafe partial class BlasLtApi
{
    internal const string Library = "cublasLt";

    /// <summary>Every function declared here; a library that lacks one of them is refused when it is loaded.</summary>
    internal static readonly string[] EntryPoints =
    [
        nameof(cublasLtCreate), nameof(cublasLtDestroy), nameof(cublasLtGetVersion), nameof(cublasLtGetCudartVersion),
    ];

    static BlasLtApi() => NativeResolver.Register();

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasLtCreate(nint* handle);

    [LibraryImport(Library)]
    internal static partial BlasStatus cublasLtDestroy(nint handle);

    [LibraryImport(Library)]
    internal static partial nuint cublasLtGetVersion();

    [LibraryImport(Library)]
    internal static partial nuint cublasLtGetCudartVersion();
}

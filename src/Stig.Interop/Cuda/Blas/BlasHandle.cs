using static Stig.Interop.Cuda.Blas.BlasApi;
using static Stig.Interop.Cuda.CudaCheck;

namespace Stig.Interop.Cuda.Blas;

/// <summary>One of the two factors of a product, stored row by row.</summary>
/// <param name="Pointer">Device address.</param>
/// <param name="LeadingDimension">Elements between rows.</param>
/// <param name="Transposed">Whether the transpose of what is stored takes part.</param>
/// <param name="Stride">Elements between the matrices of a batch.</param>
internal readonly record struct BlasMatrix(ulong Pointer, int LeadingDimension, bool Transposed = false, long Stride = 0);

/// <summary>cuBLAS for one stream at a time. Matrices are row-major; results are the same from run to run (no atomics).</summary>
internal sealed unsafe class BlasHandle : CudaResource
{
    private const int DefaultAlgorithm = -1;

    private readonly nint handle;

    private BlasHandle(CudaContext context, nint handle) : base(context) => this.handle = handle;

    /// <summary>The cublasHandle_t.</summary>
    internal nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>Bytes of workspace that NVIDIA recommends for a GPU.</summary>
    internal static long RecommendedWorkspace(Version computeCapability) => computeCapability.Major >= 9 ? 32L << 20 : 4L << 20;

    /// <summary>Makes a handle.</summary>
    /// <exception cref="CudaUnavailableException">cuBLAS is missing.</exception>
    /// <exception cref="DeviceOutOfMemoryException">cuBLAS has no room.</exception>
    internal static BlasHandle Create(CudaContext context)
    {
        using CudaContext.Scope scope = context.Use();
        nint handle;
        Check(cublasCreate_v2(&handle));
        try
        {
            Check(cublasSetAtomicsMode(handle, 0));
            return new BlasHandle(context, handle);
        }
        catch
        {
            Note(context, cublasDestroy_v2(handle));
            throw;
        }
    }

    /// <summary>
    /// Sets stream and workspace. They go together: setting the stream resets the workspace to one that cuBLAS allocates itself, which
    /// a captured graph would then allocate at every replay.
    /// </summary>
    /// <param name="stream">The stream.</param>
    /// <param name="workspace">Device address, a multiple of 256.</param>
    /// <param name="bytes">Its extent.</param>
    internal void SetStream(CudaStream stream, ulong workspace, long bytes)
    {
        Check(cublasSetStream_v2(Handle, stream.Handle));
        Check(cublasSetWorkspace_v2(Handle, workspace, CudaStream.Extent(bytes)), $"{bytes} bytes at 0x{workspace:x}");
    }

    /// <summary>
    /// Queues products C = alpha op(A) op(B) + beta C of row-major matrices, accumulated in float32. cuBLAS stores column by column, so it
    /// is asked for the transpose: C' = op(B)' op(A)'.
    /// </summary>
    /// <param name="m">Rows of C.</param>
    /// <param name="n">Columns of C.</param>
    /// <param name="k">Columns of op(A), rows of op(B).</param>
    /// <param name="a">Left factors.</param>
    /// <param name="b">Right factors.</param>
    /// <param name="type">Element type of the factors.</param>
    /// <param name="c">Results; never transposed.</param>
    /// <param name="resultType">Element type of the results.</param>
    /// <param name="compute">Arithmetic.</param>
    /// <param name="batch">Number of products, at least 1.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of what C held; 0 means that it is not read.</param>
    internal void Multiply(
        int m, int n, int k, in BlasMatrix a, in BlasMatrix b, BlasDataType type, in BlasMatrix c, BlasDataType resultType,
        BlasComputeType compute, int batch = 1, float alpha = 1, float beta = 0)
    {
        BlasOperation opA = a.Transposed ? BlasOperation.Transpose : BlasOperation.None;
        BlasOperation opB = b.Transposed ? BlasOperation.Transpose : BlasOperation.None;
        if (batch == 1)
        {
            Check(
                cublasGemmEx(
                    Handle, opB, opA, n, m, k, &alpha, b.Pointer, type, b.LeadingDimension, a.Pointer, type, a.LeadingDimension, &beta,
                    c.Pointer, resultType, c.LeadingDimension, compute, DefaultAlgorithm),
                $"({m} x {k}) ({k} x {n}), {type} to {resultType}");
        }
        else
        {
            Check(
                cublasGemmStridedBatchedEx(
                    Handle, opB, opA, n, m, k, &alpha, b.Pointer, type, b.LeadingDimension, b.Stride, a.Pointer, type, a.LeadingDimension,
                    a.Stride, &beta, c.Pointer, resultType, c.LeadingDimension, c.Stride, batch, compute, DefaultAlgorithm),
                $"{batch} times ({m} x {k}) ({k} x {n}), {type} to {resultType}");
        }
    }

    private protected override void Release() => Note(Context, cublasDestroy_v2(handle));

    private static void Note(CudaContext context, BlasStatus status)
    {
        if (status != BlasStatus.Success)
        {
            context.NoteRelease(BlasStatusText.Library, nameof(cublasDestroy_v2), BlasStatusText.Describe(status).Name, (int)status);
        }
    }
}

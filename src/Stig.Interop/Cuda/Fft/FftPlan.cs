using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.Fft.FftApi;

namespace Stig.Interop.Cuda.Fft;

/// <summary>
/// A batch of two-dimensional transforms in float32, packed one after the other. Neither direction scales: forward and back gives
/// h * w times the input. The plan allocates nothing on the device: its work area is the caller's. One plan must not run on two
/// streams at once.
/// </summary>
internal sealed unsafe class FftPlan : CudaResource
{
    private readonly int plan;

    private FftPlan(CudaContext context, int plan, FftType type, int height, int width, int batch, long workBytes) : base(context)
    {
        this.plan = plan;
        Type = type;
        Height = height;
        Width = width;
        Batch = batch;
        WorkBytes = workBytes;
    }

    /// <summary>Kind of transform.</summary>
    internal FftType Type { get; }

    /// <summary>Rows.</summary>
    internal int Height { get; }

    /// <summary>Columns; of a real-complex pair, those of the real side.</summary>
    internal int Width { get; }

    /// <summary>Transforms in one execution.</summary>
    internal int Batch { get; }

    /// <summary>Bytes that the work area must have; may be 0.</summary>
    internal long WorkBytes { get; }

    /// <summary>Plans; this takes milliseconds, allocates host memory, and must not happen while the stream is captured.</summary>
    /// <param name="context">Where it runs.</param>
    /// <param name="type">Kind of transform.</param>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="width">Columns, at least 1.</param>
    /// <param name="batch">Transforms in one execution, at least 1; batch * height * width below 2^31.</param>
    /// <exception cref="CudaUnavailableException">cuFFT is missing.</exception>
    /// <exception cref="DeviceLimitException">There are 2^31 elements or more.</exception>
    /// <exception cref="DeviceOutOfMemoryException">cuFFT has no room for its tables.</exception>
    /// <exception cref="CudaException">cuFFT refuses the sizes.</exception>
    internal static FftPlan Create(CudaContext context, FftType type, int height, int width, int batch)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if ((long)height * width > int.MaxValue / batch)
        {
            throw new DeviceLimitException(
                $"cuFFT plans below 2^31 elements are supported; {batch} transforms of {height} x {width} have more. Take fewer or smaller images, or --device cpu.");
        }

        using CudaContext.Scope scope = context.Use();
        int plan;
        Check(cufftCreate(&plan));
        try
        {
            Check(cufftSetAutoAllocation(plan, 0));
            int* extents = stackalloc int[] { height, width };
            int full = height * width;
            int half = height * ((width / 2) + 1);
            int* halfExtents = stackalloc int[] { height, (width / 2) + 1 };
            bool halfInput = type == FftType.ComplexToReal;
            bool halfOutput = type == FftType.RealToComplex;
            nuint workBytes;
            Check(
                cufftMakePlanMany(
                    plan, 2, extents, halfInput ? halfExtents : extents, 1, halfInput ? half : full,
                    halfOutput ? halfExtents : extents, 1, halfOutput ? half : full, type, batch, &workBytes),
                $"{type}, {batch} transforms of {height} x {width}");
            return new FftPlan(context, plan, type, height, width, batch, (long)workBytes);
        }
        catch
        {
            Note(context, cufftDestroy(plan));
            throw;
        }
    }

    /// <summary>
    /// Sets the stream that executions are queued on. Before a capture this must be the captured stream: otherwise the transform runs
    /// at once and is not recorded.
    /// </summary>
    internal void SetStream(CudaStream stream)
    {
        ThrowIfDisposed();
        Check(cufftSetStream(plan, stream.Handle));
    }

    /// <summary>Sets the work area: <see cref="WorkBytes"/> at a multiple of 256, for as long as executions (or a captured graph) use it.</summary>
    internal void SetWorkArea(ulong pointer)
    {
        ThrowIfDisposed();
        Check(cufftSetWorkArea(plan, pointer), $"{WorkBytes} bytes at 0x{pointer:x}");
    }

    /// <summary>Queues complex transforms; in place when both addresses are the same.</summary>
    /// <param name="input">Device address of batch * height * width complex values.</param>
    /// <param name="output">Device address of as many.</param>
    /// <param name="direction">Sign of the exponent.</param>
    internal void Execute(ulong input, ulong output, FftDirection direction)
    {
        ThrowIfDisposed();
        Check(cufftExecC2C(plan, input, output, direction), $"{direction}, {Batch} transforms of {Height} x {Width}");
    }

    /// <summary>Queues real-to-complex or complex-to-real transforms, whichever the plan is for; the latter may overwrite their input.</summary>
    /// <param name="input">Device address.</param>
    /// <param name="output">Device address.</param>
    internal void Execute(ulong input, ulong output)
    {
        ThrowIfDisposed();
        if (Type == FftType.RealToComplex)
        {
            Check(cufftExecR2C(plan, input, output), $"{Batch} transforms of {Height} x {Width}");
        }
        else
        {
            Check(cufftExecC2R(plan, input, output), $"{Batch} transforms of {Height} x {Width}");
        }
    }

    private protected override void Release() => Note(Context, cufftDestroy(plan));

    private static void Note(CudaContext context, FftResult status)
    {
        if (status != FftResult.Success)
        {
            context.NoteRelease(FftResultText.Library, nameof(cufftDestroy), FftResultText.Describe(status).Name, (int)status);
        }
    }
}

using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Dnn;
using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// Runs graphs on an NVIDIA GPU: cuDNN for convolutions, cuFFT for transforms, hand-written kernels for the rest, everything on one stream.
/// Between the upload of a batch and the download of its result nothing is allocated, copied to the host or waited for.
/// </summary>
internal sealed class CudaExecutor : Executor
{
    private readonly CudaContext context;
    private DnnHandle? dnn;
    private ConvolutionTuner? tuner;

    private bool profiling;

    /// <param name="ordinal">Number of the GPU.</param>
    /// <param name="precision">Arithmetic of the convolutions.</param>
    /// <param name="profile">Whether programs show a profiler every node instead of being replayed.</param>
    public CudaExecutor(int ordinal, Precision precision = Precision.F32, bool profile = false)
    {
        context = CudaContext.Open(ordinal);
        try
        {
            Stream = CudaStream.Create(context);
            Kernels = new KernelLibrary(context, lineInfo: profile);
        }
        catch
        {
            Dispose(true);
            throw;
        }

        Precision = precision;
        Profile = profile;
    }

    public override string DeviceName => context.Device.DeviceName;

    /// <summary>Arithmetic of the convolutions.</summary>
    public Precision Precision { get; }

    /// <summary>Whether programs show a profiler every node instead of being replayed.</summary>
    public bool Profile { get; }

    public CudaContext Context => context;

    public CudaStream Stream { get; } = null!;

    public KernelLibrary Kernels { get; } = null!;

    /// <summary>cuDNN on the executor's stream; loaded when a program first needs it, which is while it is compiled.</summary>
    public DnnHandle Dnn
    {
        get
        {
            if (dnn is null)
            {
                dnn = DnnHandle.Create(context);
                dnn.SetStream(Stream);
            }

            return dnn;
        }
    }

    /// <summary>What chooses cuDNN's algorithms.</summary>
    public ConvolutionTuner Tuner => tuner ??= new ConvolutionTuner(this);

    /// <summary>Keeps what has been measured for later runs.</summary>
    public void SaveChoices()
    {
        if (tuner?.Save() is string problem)
        {
            Tell($"Measured algorithms of convolutions are not kept, later runs measure them again: {problem}");
        }
    }

    public override double FeatureRounding => Precision == Precision.Bf16 ? 1.0 / 512 : 0;

    public override double ProductRounding => Precision == Precision.Tf32 ? 1.0 / 2048 : 0;

    public override bool CanRun(Node node) => CudaKernels.CanRun(node);

    /// <summary>Has a profiler collect from now on, until the executor is disposed.</summary>
    public void StartProfiler()
    {
        if (!profiling)
        {
            profiling = true;
            CudaDriver.StartProfiler();
        }
    }

    public override TensorStore CreateStore() => new CudaTensorStore(context, Stream);

    public override Program Compile(Graph graph, TensorStore store)
    {
        if (store is not CudaTensorStore cudaStore)
        {
            throw new ArgumentException("The store belongs to another executor.", nameof(store));
        }

        CheckParameters(graph, store);
        using CudaContext.Scope scope = context.Use();
        return new CudaProgram(graph, cudaStore, this);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            if (profiling)
            {
                using CudaContext.Scope scope = CudaContext.Scope.ForRelease(context);
                CudaDriver.StopProfiler(context);
            }

            dnn?.Dispose();
            Kernels?.Dispose();
            Stream?.Dispose();
            context.Dispose();
        }
    }
}

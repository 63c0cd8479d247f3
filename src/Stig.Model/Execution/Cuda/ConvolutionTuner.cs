using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Dnn;

namespace Stig.Model.Execution.Cuda;

/// <summary>A convolution that a method is wanted for.</summary>
/// <param name="Shape">Its descriptors; their arithmetic is changed while methods are tried.</param>
/// <param name="BiasShape">That of its bias; null when it has none.</param>
/// <param name="Name">All that its speed depends on but the number of images.</param>
/// <param name="XBytes">Extent of the input.</param>
/// <param name="YBytes">Extent of the output.</param>
/// <param name="Weights">Initialised memory as large as its weights.</param>
/// <param name="Bias">Initialised memory as large as its bias.</param>
/// <param name="AddBias">Queues the addition of that bias to an output at the given address.</param>
internal sealed record TunedConvolution(
    DnnShape Shape, DnnTensor? BiasShape, string Name, long XBytes, long YBytes, ulong Weights, ulong Bias, Action<ulong> AddBias);

/// <summary>
/// Chooses how cuDNN carries out a convolution: once a shape, by measurement, among the deterministic algorithms whose workspace is
/// bounded. The number of images is no part of the choice, because the bytes of an image may not depend on what is refined with it.
/// </summary>
internal sealed class ConvolutionTuner
{
    /// <summary>Set to "heuristics", cuDNN's own recommendation is taken instead: the same on every machine of a kind, without a file.</summary>
    public const string ChoiceVariable = "STIG_CONVOLUTIONS";

    /// <summary>Largest workspace of a convolution in bytes.</summary>
    public const long WorkspaceLimit = 256L << 20;

    private const int Repetitions = 5;

    private readonly CudaExecutor executor;
    private readonly bool measures = Environment.GetEnvironmentVariable(ChoiceVariable) != "heuristics";
    private readonly ConvolutionCache cache;

    public ConvolutionTuner(CudaExecutor executor)
    {
        this.executor = executor;
        cache = ConvolutionCache.Of(executor.Context.Device, CudaDriver.Version, DnnHandle.Version);
    }

    /// <summary>Convolutions that were measured, not known before.</summary>
    public int Measured { get; private set; }

    /// <summary>The method of a convolution; its arithmetic is set on the descriptor.</summary>
    /// <exception cref="CudaException">cuDNN has none.</exception>
    public ConvolutionMethod Choose(TunedConvolution convolution, Func<DnnActivation> identity)
    {
        ConvolutionMethod[] possible = Possible(convolution);
        ConvolutionMethod? method = measures ? cache.Find(convolution.Name) : null;

        // A method that is not possible is one from a file that somebody has changed, or too hungry with so many images.
        if (method is null || !possible.Contains(method.Value))
        {
            method = measures && method is null ? Measure(convolution, possible, identity) ?? possible[0] : possible[0];
        }

        convolution.Shape.Convolution.SetMath(method.Value.Math);
        return method.Value;
    }

    /// <summary>Writes what was measured.</summary>
    /// <returns>Why it cannot be written; null when it is.</returns>
    public string? Save() => cache.Save();

    // Best first by cuDNN's heuristics, but one pass that adds the bias too before all others.
    private ConvolutionMethod[] Possible(TunedConvolution convolution)
    {
        bool hasBias = convolution.BiasShape is not null;
        List<ConvolutionMethod> methods = [];
        foreach (DnnAlgorithm found in executor.Dnn.GetForwardAlgorithms(convolution.Shape))
        {
            if (!found.Deterministic || found.WorkspaceBytes > WorkspaceLimit)
            {
                continue;
            }

            var algorithm = (DnnForwardAlgorithm)found.Algorithm;
            methods.Add(new ConvolutionMethod(algorithm, Math(found.Math), AddsBias: false));
            if (hasBias && algorithm == DnnForwardAlgorithm.ImplicitPrecompGemm)
            {
                // With the identity cuDNN adds the bias for this algorithm only.
                methods.Insert(0, methods[^1] with { AddsBias = true });
            }
        }

        return methods.Count > 0
            ? [.. methods.Distinct()]
            : throw new CudaUnavailableException(
                $"cuDNN {DnnHandle.Version} has no deterministic algorithm for the convolution {convolution.Name} with at most {WorkspaceLimit >> 20} MiB of"
                + " workspace. Use a newer cuDNN, another --precision, or --device cpu.");
    }

    // What was asked for decides on float32: float32 products, or whatever the library likes best (TF32). bfloat16 has tensor cores only.
    private DnnMathType Math(DnnMathType found) => executor.Precision switch
    {
        Precision.F32 => DnnMathType.Fma,
        Precision.Bf16 when found == DnnMathType.TensorOp => DnnMathType.TensorOp,
        _ => DnnMathType.Default,
    };

    // cuDNN measures its algorithms; a pass that adds the bias is as fast as one that does not, a bias added afterwards takes its own time.
    private ConvolutionMethod? Measure(TunedConvolution convolution, ConvolutionMethod[] possible, Func<DnnActivation> identity)
    {
        try
        {
            CudaContext context = executor.Context;
            CudaStream stream = executor.Stream;
            long workspaceBytes = possible.Max(method => Workspace(convolution, method));
            using DeviceMemory x = DeviceMemory.Allocate(context, convolution.XBytes, stream);
            using DeviceMemory y = DeviceMemory.Allocate(context, convolution.YBytes, stream);
            using DeviceMemory memory = DeviceMemory.Allocate(context, System.Math.Max(1, workspaceBytes), stream);
            var workspace = new DnnWorkspace(memory.Pointer, workspaceBytes);
            stream.Clear(x.Pointer, convolution.XBytes);
            stream.Clear(y.Pointer, convolution.YBytes);
            double biasTime = convolution.BiasShape is null ? 0 : Time(() => convolution.AddBias(y.Pointer));
            ConvolutionMethod? best = null;
            double bestTime = double.PositiveInfinity;
            foreach (DnnMathType math in possible.Select(method => method.Math).Distinct())
            {
                convolution.Shape.Convolution.SetMath(math);
                DnnAlgorithm[] measured = executor.Dnn.FindForwardAlgorithms(convolution.Shape, x.Pointer, convolution.Weights, y.Pointer, workspace);
                foreach (ConvolutionMethod method in possible.Where(method => method.Math == math))
                {
                    DnnAlgorithm[] runs = [.. measured.Where(run => run.Algorithm == (int)method.Algorithm && Math(run.Math) == math && run.Milliseconds >= 0)];
                    double time = runs.Length == 0 ? double.PositiveInfinity
                        : runs.Min(run => run.Milliseconds) + (method.AddsBias || convolution.BiasShape is null ? 0 : biasTime);
                    if (time < bestTime && (!method.AddsBias || Takes(convolution, method, x.Pointer, y.Pointer, workspace, identity())))
                    {
                        (best, bestTime) = (method, time);
                    }
                }
            }

            if (best is not null)
            {
                Measured++;
                cache.Add(convolution.Name, best.Value);
            }

            return best;
        }
        catch (CudaException error) when (error is not DeviceLostException)
        {
            // No room to measure in, or nothing that can be measured: the recommendation has to do, and another time may go better.
            return null;
        }
    }

    private long Workspace(TunedConvolution convolution, ConvolutionMethod method)
    {
        convolution.Shape.Convolution.SetMath(method.Math);
        return executor.Dnn.ForwardWorkspace(convolution.Shape, (int)method.Algorithm);
    }

    // cuDNN lists algorithms without saying whether they add a bias too.
    private bool Takes(TunedConvolution convolution, ConvolutionMethod method, ulong x, ulong y, DnnWorkspace workspace, DnnActivation identity)
    {
        try
        {
            executor.Dnn.ForwardBiasActivation(
                convolution.Shape, (int)method.Algorithm, x, convolution.Weights, convolution.BiasShape!, convolution.Bias, identity, y, workspace);
            return true;
        }
        catch (CudaException error) when (error is not (DeviceLostException or DeviceOutOfMemoryException))
        {
            return false;
        }
    }

    private double Time(Action queue)
    {
        using CudaEvent start = CudaEvent.Create(executor.Context, timing: true);
        using CudaEvent end = CudaEvent.Create(executor.Context, timing: true);
        queue();
        double best = double.PositiveInfinity;
        for (int repetition = 0; repetition < Repetitions; repetition++)
        {
            start.Record(executor.Stream);
            queue();
            end.Record(executor.Stream);
            end.Synchronize();
            best = System.Math.Min(best, end.MillisecondsSince(start));
        }

        return best;
    }
}

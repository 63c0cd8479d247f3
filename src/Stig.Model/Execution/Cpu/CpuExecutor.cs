using Stig.Interop;
using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cpu;

/// <summary>Options of the CPU executor.</summary>
/// <param name="Winograd">
/// Whether 3x3 convolutions may use Winograd: two to three times as fast on large maps, with a rounding error about ten times that of the
/// direct algorithm.
/// </param>
internal sealed record CpuOptions(bool Winograd = false);

/// <summary>Runs graphs on the processor through the native core.</summary>
internal sealed class CpuExecutor(CpuOptions? options = null) : Executor
{
    public override string DeviceName => "cpu";

    public override string Arithmetic
    {
        get
        {
            NativeCoreInfo core = NativeCore.Info;
            int threads = NativeCore.Threads;
            return $"{DeviceName} ({core.IsaLevel}, oneDNN {core.DnnlVersion} for {core.DnnlIsa}) with {threads} {(threads == 1 ? "thread" : "threads")}";
        }
    }

    public override bool CanRun(Node node) => CpuKernels.Operations.Contains(node.Operation.GetType());

    public override TensorStore CreateStore() => new CpuTensorStore();

    public override Program Compile(Graph graph, TensorStore store)
    {
        if (store is not CpuTensorStore cpuStore)
        {
            throw new ArgumentException("The store belongs to another executor.", nameof(store));
        }

        CheckParameters(graph, store);
        return new CpuProgram(graph, cpuStore, options ?? new CpuOptions());
    }

    protected override void Dispose(bool disposing)
    {
    }
}

/// <summary>One kernel call, ready to run.</summary>
internal delegate CoreStatus CpuStep();

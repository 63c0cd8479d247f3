using Stig.Interop;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cpu;

/// <summary>Which arithmetic the processor is good at.</summary>
internal static class CpuPrecision
{
    // A choice that measuring errors could turn round would give other results from one start of the program to the next.
    private const double Advantage = 1.25;

    private const int Channels = 64;
    private const int Size = 128;
    private const int Runs = 3;

    private static readonly Lazy<Precision> FasterThanDirect = new(() => Measure(winograd: false));
    private static readonly Lazy<Precision> FasterThanWinograd = new(() => Measure(winograd: true));

    /// <summary>Whether the processor multiplies bfloat16 numbers, and oneDNN makes use of that.</summary>
    public static bool HasBf16 => NativeCore.Info.DnnlIsa is "AVX-512 BF16" or "AMX";

    /// <summary>The faster arithmetic, by one measurement a process: bfloat16 only if it is faster by a quarter.</summary>
    /// <param name="winograd">Whether float32 may use Winograd.</param>
    public static Precision Faster(bool winograd) => (winograd ? FasterThanWinograd : FasterThanDirect).Value;

    private static Precision Measure(bool winograd) =>
        HasBf16 && Seconds(new CpuOptions(Bf16: true)) * Advantage < Seconds(new CpuOptions(winograd)) ? Precision.Bf16 : Precision.F32;

    // The shortest time of a convolution of the network's kind.
    private static double Seconds(CpuOptions options)
    {
        using var executor = new CpuExecutor(options);
        using TensorStore store = executor.CreateStore();
        var shape = new Shape(Channels, Channels, 3, 3);
        store.Create("weights", shape, new float[shape.Count]);
        var graph = new Graph();
        Value x = graph.AsFeatures(graph.Input("x", TensorType.Float(1, Channels, Size, Size)));
        graph.Output("y", graph.Conv2d(x, graph.Parameter("weights", shape), null, 1, 1));
        using Program program = executor.Compile(graph, store);
        program.Run();
        double least = double.PositiveInfinity;
        for (int run = 0; run < Runs; run++)
        {
            program.Profile((node, time) => least = node.Operation is Conv2d ? Math.Min(least, time.TotalSeconds) : least);
        }

        return least;
    }
}

using System.CommandLine;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;

namespace Stig.Cli.Commands.Bench;

/// <summary><c>stig bench generator</c>: the generator's forward pass on one image.</summary>
internal static class GeneratorBench
{
    private const int DefaultRuns = 7;
    private const string Result = "y";

    public static Command Create(Terminal terminal) => new BenchOptions(DevicePurpose.Refinement, DefaultRuns).On(
        new StigCommand("generator", "The generator's forward pass on one image.",
            "stig bench generator", "stig bench generator --direct --threads 1", "stig bench generator --precision bf16"),
        terminal, (_, settings) => With(settings, (store, program) =>
        {
            // The result is fetched, so that a device has computed it when the time is taken.
            float[] result = new float[3L * settings.Size * settings.Size];
            TimeReport time = TimeReport.Of(settings.Runs, () =>
            {
                program.Run();
                program.Read<float>(program.Outputs[Result], result);
            });
            return new BenchReport("forward pass of the generator", MachineReport.Of(settings.Device), settings, time, MemoryReport.Of(program, store));
        }));

    /// <summary>Calls a function with a compiled generator and its store.</summary>
    public static T With<T>(BenchSettings settings, Func<TensorStore, Model.Execution.Program, T> use)
    {
        using Executor executor = Device.Open(settings.Device, DevicePurpose.Refinement, settings.Winograd, settings.Precision);
        using TensorStore store = executor.CreateStore();
        var network = new NestedUNet(settings.Width);
        foreach (ParameterSpec spec in network.Parameters())
        {
            store.Create(spec.Name, spec.Shape, spec.Initialize(1));
        }

        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, settings.Size, settings.Size));
        graph.Output(Result, network.Apply(graph, x, NormalizationMode.PerImage));
        using Model.Execution.Program program = executor.Compile(graph, store);
        program.Write<float>(x, Noise.Uniform(x.Shape.Count));
        return use(store, program);
    }
}

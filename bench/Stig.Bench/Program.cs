// Times the generator's forward pass and a training step on the CPU, each in the two convolution algorithms, in one run.
// usage: Stig.Bench [WIDTH SIZE]; default 64 256, the paper's generator
using System.Diagnostics;
using System.Globalization;
using Stig.Interop;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Randomness;
using Stig.Model.Training;
using Stig.Model.Translation;

int width = args.Length == 2 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 64;
int size = args.Length == 2 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 256;
NativeCoreInfo core = NativeCore.Info;
Console.WriteLine($"{ProcessorInfo.Name}, {NativeCore.Threads} threads, core {core.IsaLevel}, oneDNN {core.DnnlVersion} for {core.DnnlIsa}");
Console.WriteLine($"generator of width {width}, {size} x {size}, batch 1, float32; medians");

double direct = Forward(winograd: false);
double winograd = Forward(winograd: true);
Console.WriteLine(Line("forward, direct", direct, direct));
Console.WriteLine(Line("forward, Winograd", winograd, direct));
double step = TrainingStep();
Console.WriteLine(Line("training step, official preset, Winograd", step, direct));

static string Line(string what, double seconds, double reference) =>
    string.Create(CultureInfo.InvariantCulture, $"{what,-42} {seconds,8:F3} s   {seconds / reference,6:F2} of the direct forward pass");

double Forward(bool winograd)
{
    using var executor = new CpuExecutor(new CpuOptions(winograd));
    using TensorStore store = executor.CreateStore();
    var network = new NestedUNet(width);
    foreach (ParameterSpec spec in network.Parameters())
    {
        store.Create(spec.Name, spec.Shape, spec.Initialize(1));
    }

    var graph = new Graph();
    Value x = graph.Input("x", TensorType.Float(1, 3, size, size));
    graph.Output("y", network.Apply(graph, x, NormalizationMode.PerImage));
    using Stig.Model.Execution.Program program = executor.Compile(graph, store);
    program.Write<float>(x, Noise(x.Shape.Count));
    return Median(program.Run, runs: 7);
}

double TrainingStep()
{
    TrainingOptions options = TrainingOptions.For(Preset.Official) with { Width = width, Size = size };
    using var executor = new CpuExecutor(new CpuOptions(Winograd: true));
    using TrainingSession session = TrainingSession.Start(options, executor, []);
    using TensorStore store = session.Store;
    float[] real = Noise(3L * size * size);
    float[] fake = Noise((3L * size * size) + 1)[1..];
    return Median(() => session.Run(real, fake), runs: 3);
}

static float[] Noise(long count)
{
    var random = new CounterRandom(1, "noise");
    return [.. Enumerable.Range(0, checked((int)count)).Select(i => (float)random.Uniform(i))];
}

// The first run is not counted: it packs weights and touches memory.
static double Median(Action run, int runs)
{
    run();
    double[] seconds = new double[runs];
    for (int i = 0; i < runs; i++)
    {
        long start = Stopwatch.GetTimestamp();
        run();
        seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    Array.Sort(seconds);
    return seconds[runs / 2];
}

using Stig.Interop.Cuda;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Randomness;
using Stig.Model.Refinement;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Cuda;

/// <summary>Whole refinement programs on the simulated CUDA libraries, against the CPU executor.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class CudaExecutorTests
{
    private const int Size = 32;

    private static readonly ModelArchitecture Filtered = new(Preset.Default, Size, 8, NormalizationMode.PerImage);
    private static readonly ModelArchitecture Official = new(Preset.Official, Size, 8, NormalizationMode.Batch);

    [Theory]
    [InlineData(Preset.Default, Precision.F32, 32, 2e-4)]
    [InlineData(Preset.Default, Precision.F32, 48, 2e-4)]
    [InlineData(Preset.Official, Precision.F32, 32, 2e-4)]
    [InlineData(Preset.Official, Precision.F32, 48, 2e-4)]
    [InlineData(Preset.Default, Precision.Bf16, 32, 0.1)]
    public void Refinement_matches_the_CPU(Preset preset, Precision precision, int size, double tolerance)
    {
        // float32: thirty convolutions and normalisations of random weights amplify roundings to about 1e-5 of the range; bfloat16 rounds every
        // feature map to 2^-9, and the spectrum's exponential turns that into a few hundredths where pixels are bright.
        SimulatedCuda.Require();
        ModelArchitecture architecture = (preset == Preset.Default ? Filtered : Official) with { Size = size };
        float[] images = Images(2, size);
        float[] expected = Refine(new CpuExecutor(), architecture, images, 2);
        float[] actual = Refine(new CudaExecutor(0, precision), architecture, images, 2);

        double largest = expected.Zip(actual, (e, a) => Math.Abs((double)e - a)).Max();
        Assert.True(largest <= tolerance, $"largest difference {largest:G3}");
        Assert.NotEqual(images, actual);
    }

    [Fact]
    public void An_image_alone_or_in_a_batch_gives_the_same_bytes_and_so_does_a_second_run()
    {
        SimulatedCuda.Require();
        float[] images = Images(3);
        float[] together = Refine(new CudaExecutor(0), Filtered, images, 3);
        int length = images.Length / 3;
        for (int image = 0; image < 3; image++)
        {
            float[] alone = Refine(new CudaExecutor(0), Filtered, images.AsSpan(image * length, length), 1);
            Assert.Equal(together[(image * length)..((image + 1) * length)], alone);
        }
    }

    [Fact]
    public void Runs_are_recorded_once_and_replayed_and_everything_is_freed()
    {
        SimulatedCuda.Require();
        var executor = new CudaExecutor(0);
        CudaContext context = executor.Context;
        using (TensorStore store = Store(executor, Filtered))
        {
            Graph graph = Build(Filtered, 1, out Value input, out Value output);
            using var program = (CudaProgram)executor.Compile(graph, store);
            float[] first = Run(program, input, output, Images(1));
            float[] recorded = Run(program, input, output, Images(1));
            float[] replayed = Run(program, input, output, Images(1));
            Assert.Null(program.CaptureRefusal);
            Assert.True(program.IsRecorded);
            Assert.Equal(first, recorded);
            Assert.Equal(first, replayed);
        }

        executor.Dispose();
        Assert.Equal(0, context.LiveResources);
        Assert.Equal(0, context.ForgottenResources);
        Assert.Null(context.ReleaseFailure);
    }

    [Fact]
    public void New_weights_reach_a_recorded_program()
    {
        SimulatedCuda.Require();
        using var executor = new CudaExecutor(0);
        using TensorStore store = Store(executor, Filtered);
        Graph graph = Build(Filtered, 1, out Value input, out Value output);
        using Stig.Model.Execution.Program program = executor.Compile(graph, store);
        float[] before = Run(program, input, output, Images(1));
        _ = Run(program, input, output, Images(1));
        store.Write("generator.final.weight", new float[store.Shapes["generator.final.weight"].Count]);
        store.Write("generator.final.bias", new float[3]);
        float[] after = Run(program, input, output, Images(1));

        Assert.NotEqual(before, after);
    }

    [Fact]
    public void Convolutions_with_the_same_weights_have_each_its_own_bias()
    {
        // Centre taps of one: the result is the image with the bias added, exactly.
        SimulatedCuda.Require();
        using var executor = new CudaExecutor(0);
        using TensorStore store = executor.CreateStore();
        float[] taps = new float[4 * 4 * 9];
        for (int channel = 0; channel < 4; channel++)
        {
            taps[(((channel * 4) + channel) * 9) + 4] = 1;
        }

        store.Create("weights", new Shape(4, 4, 3, 3), taps);
        store.Create("first", new Shape(4), [1, 2, 3, 4]);
        store.Create("second", new Shape(4), [10, 20, 30, 40]);
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 4, 3, 5));
        Value[] outputs = [.. new[] { "first", "second", "" }.Select(bias => graph.Output($"with {bias}", graph.AsPlain(graph.Conv2d(
            graph.AsFeatures(x), graph.Parameter("weights", new Shape(4, 4, 3, 3)), bias.Length == 0 ? null : graph.Parameter(bias, new Shape(4)), 1, 1))))];
        using Stig.Model.Execution.Program program = executor.Compile(graph, store);
        float[] image = [.. Enumerable.Range(0, 60).Select(i => (float)i)];
        program.Write<float>(x, image);
        program.Run();

        foreach ((int scale, Value output) in new[] { 1, 10, 0 }.Zip(outputs))
        {
            Assert.Equal(image.Select((value, i) => value + (scale * ((i / 15) + 1))), program.Read(output));
        }
    }

    [Fact]
    public void Training_operations_are_refused_by_name()
    {
        SimulatedCuda.Require();
        using var executor = new CudaExecutor(0);
        using TensorStore store = executor.CreateStore();
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 8, 8));
        graph.Output("loss", graph.MeanSquaredError(x, 0));

        Assert.Contains("mse", Assert.Throws<GraphException>(() => executor.Compile(graph, store)).Message, StringComparison.Ordinal);
    }

    private static float[] Refine(Executor executor, ModelArchitecture architecture, ReadOnlySpan<float> images, int count)
    {
        using (executor)
        using (TensorStore store = Store(executor, architecture))
        {
            Graph graph = Build(architecture, count, out Value input, out Value output);
            using Stig.Model.Execution.Program program = executor.Compile(graph, store);
            return Run(program, input, output, images);
        }
    }

    private static float[] Run(Stig.Model.Execution.Program program, Value input, Value output, ReadOnlySpan<float> images)
    {
        program.Write(input, images);
        program.Run();
        return program.Read(output);
    }

    private static Graph Build(ModelArchitecture architecture, int count, out Value input, out Value output)
    {
        var graph = new Graph();
        input = graph.Input("images", TensorType.Float(count, 3, architecture.Size, architecture.Size));
        output = graph.Output("refined", RefineGraph.Build(graph, architecture, input, OutputRange.Clamp));
        return graph;
    }

    internal static TensorStore Store(Executor executor, ModelArchitecture architecture)
    {
        TensorStore store = executor.CreateStore();
        foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture))
        {
            float[] values = spec.Initialize(3);
            if (spec.Initializer == Initializer.Zero)
            {
                var random = new CounterRandom(5, spec.Name);
                values = [.. values.Select((_, i) => 0.2f * (float)random.Normal(i))];
            }

            store.Create(spec.Name, spec.Shape, values);
        }

        return store;
    }

    private static float[] Images(int count, int size = Size)
    {
        var random = new CounterRandom(11, "images");
        return [.. Enumerable.Range(0, count * 3 * size * size).Select(i => (float)random.Uniform(i))];
    }
}

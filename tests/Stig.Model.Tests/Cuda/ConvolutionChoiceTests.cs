using Stig.Interop.Cuda;
using Stig.Model.Execution;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Tests;

namespace Stig.Model.Tests.Cuda;

/// <summary>How cuDNN's algorithms are chosen and remembered; the simulated library's times do not vary.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class ConvolutionChoiceTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("stig-choice-").FullName;
    private readonly string? before;

    public ConvolutionChoiceTests()
    {
        SimulatedCuda.Require();
        before = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", folder);
        ConvolutionCache.Forget();
    }

    // Named by GPU, driver and cuDNN.
    private string[] Files => Directory.Exists(Path.Combine(folder, "stig")) ? Directory.GetFiles(Path.Combine(folder, "stig")) : [];

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", before);
        ConvolutionCache.Forget();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_shape_is_measured_once_a_process_and_once_a_machine()
    {
        // Two of the three convolutions have one shape; another executor finds both in memory, another process in the file.
        Assert.Equal(2, Measured());
        Assert.Equal(0, Measured());
        string file = Assert.Single(Files);
        byte[] written = File.ReadAllBytes(file);
        ConvolutionCache.Forget();
        Assert.Equal(0, Measured());
        Assert.Equal(written, File.ReadAllBytes(file));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"format\": 1}")]
    [InlineData("[3")]
    [InlineData("null")]
    public void A_damaged_file_is_measured_anew_and_replaced(string content)
    {
        Assert.Equal(2, Measured());
        string file = Assert.Single(Files);
        string written = File.ReadAllText(file);
        File.WriteAllText(file, content);
        ConvolutionCache.Forget();
        Assert.Equal(2, Measured());
        Assert.Equal(written, File.ReadAllText(file));
    }

    [Fact]
    public void A_method_that_cannot_be_is_passed_over()
    {
        // FFT does not exist for channels-last maps; asked to run it, cuDNN would answer "not supported".
        Assert.Equal(2, Measured());
        string file = Assert.Single(Files);
        string changed = File.ReadAllText(file).Replace("\"ImplicitPrecompGemm\"", "\"Fft\"", StringComparison.Ordinal);
        Assert.Contains("Fft", changed, StringComparison.Ordinal);
        File.WriteAllText(file, changed);
        ConvolutionCache.Forget();
        Assert.Equal(0, Measured());
    }

    [Fact]
    public void A_file_of_another_library_is_not_taken()
    {
        Assert.Equal(2, Measured());
        string file = Assert.Single(Files);
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"cudnn\": ", "\"cudnn\": 1", StringComparison.Ordinal));
        ConvolutionCache.Forget();
        Assert.Equal(2, Measured());
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_told_once()
    {
        File.WriteAllText(Path.Combine(folder, "stig"), "in the way");
        List<string> told = [];
        Assert.Equal(2, Measured(told));
        Assert.Contains(folder, Assert.Single(told), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Precision.F32)]
    [InlineData(Precision.Bf16)]
    public void A_bias_added_afterwards_is_the_same_bias(Precision precision)
    {
        // The other way round for every convolution: without the library's pass that adds the bias. In float32 both add the same two
        // numbers; in bfloat16 the sum is rounded once more, to 2^-9 of the largest value.
        float[] fused = Run(precision);
        string file = Assert.Single(Files);
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"adds_bias\": true", "\"adds_bias\": false", StringComparison.Ordinal));
        ConvolutionCache.Forget();
        float[] apart = Run(precision);
        double largest = fused.Max(Math.Abs);
        double tolerance = precision == Precision.F32 ? 0 : largest / 128;
        Assert.All(fused.Zip(apart), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, tolerance));
        Assert.Equal(precision == Precision.F32, fused.SequenceEqual(apart));
    }

    private static int Measured(List<string>? told = null)
    {
        using var executor = new CudaExecutor(0) { Warn = told is null ? null : told.Add };
        using TensorStore store = Store(executor);
        using Stig.Model.Execution.Program program = executor.Compile(Convolutions(out _, out _), store);
        using Stig.Model.Execution.Program again = executor.Compile(Convolutions(out _, out _), store);
        return executor.Tuner.Measured;
    }

    private static float[] Run(Precision precision)
    {
        using var executor = new CudaExecutor(0, precision);
        using TensorStore store = Store(executor);
        using Stig.Model.Execution.Program program = executor.Compile(Convolutions(out Value input, out Value output), store);
        program.Write<float>(input, [.. Enumerable.Range(0, (int)input.Shape.Count).Select(i => MathF.Sin(i))]);
        program.Run();
        return program.Read(output);
    }

    private static Graph Convolutions(out Value input, out Value output)
    {
        var graph = new Graph();
        input = graph.Input("x", TensorType.Float(1, 8, 5, 7));
        Value first = graph.Parameter("first", new Shape(8, 8, 3, 3));
        Value second = graph.Parameter("second", new Shape(16, 8, 3, 3));
        Value small = graph.Parameter("small", new Shape(8));
        Value large = graph.Parameter("large", new Shape(16));
        Value map = graph.Conv2d(graph.Conv2d(input, first, small, 1, 1), first, small, 1, 1);
        output = graph.Output("y", graph.AsPlain(graph.Conv2d(map, second, large, 1, 1)));
        return graph;
    }

    private static TensorStore Store(CudaExecutor executor)
    {
        TensorStore store = executor.CreateStore();
        Add("first", new Shape(8, 8, 3, 3));
        Add("second", new Shape(16, 8, 3, 3));
        Add("small", new Shape(8));
        Add("large", new Shape(16));
        return store;

        void Add(string name, Shape shape) =>
            store.Create(name, shape, [.. Enumerable.Range(0, (int)shape.Count).Select(i => 0.1f * MathF.Cos(3 * i))]);
    }
}

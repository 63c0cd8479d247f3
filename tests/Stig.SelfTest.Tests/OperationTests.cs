using Stig.Interop;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Cases;

namespace Stig.SelfTest.Tests;

/// <summary>Every case on the CPU executor. Oracle, bound and its reason are part of each case; inputs are seeded from the
/// case's name.</summary>
public sealed class OperationTests
{
    public static TheoryData<string> Names => [.. OperationCases.All.Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Cpu_executor_agrees_with_the_oracle(string name)
    {
        using var executor = new CpuExecutor();
        CaseResult result = OperationChecks.Run(executor, OperationCases.All.Single(operation => operation.Name == name));
        TestContext.Current.TestOutputHelper!.WriteLine(result.Message);
        Assert.True(result.Passed, result.Message);
        Assert.NotEmpty(result.Measurements);
    }

    [Fact]
    public void Every_operation_with_a_cpu_kernel_has_a_case()
    {
        HashSet<Type> covered = [.. OperationCases.All.SelectMany(OperationChecks.OperationTypes)];
        Assert.Empty(CpuKernels.Operations.Where(type => !covered.Contains(type)).Select(type => type.Name));
    }

    [Fact]
    public void Names_of_cases_are_unique() =>
        Assert.Equal(OperationCases.All.Count, OperationCases.All.Select(operation => operation.Name).Distinct().Count());
}

/// <summary>Convolutions on an executor that may use Winograd's algorithm, within that algorithm's wider bounds.</summary>
public sealed class WinogradTests
{
    public static TheoryData<string> Names => [.. ConvolutionCases.Winograd.Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Cpu_executor_with_winograd_agrees_with_the_oracle(string name)
    {
        using var executor = new CpuExecutor(new CpuOptions(Winograd: true));
        CaseResult result = OperationChecks.Run(executor, ConvolutionCases.Winograd.Single(operation => operation.Name == name));
        TestContext.Current.TestOutputHelper!.WriteLine(result.Message);
        Assert.True(result.Passed, result.Message);
    }

    // Winograd's rounding differs from that of the direct algorithm: equal bytes mean that the option does nothing.
    [Fact]
    public void Winograd_is_used_where_the_library_has_it()
    {
        string isa = NativeCore.Info.DnnlIsa;
        Assert.SkipUnless(
            isa == "AMX" || isa.StartsWith("AVX-512", StringComparison.Ordinal),
            $"oneDNN has Winograd on AVX-512 processors only; this is {isa}");
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 64, 33, 47));
        Value w = graph.Parameter("w", new Shape(64, 64, 3, 3));
        Value y = graph.Output("y", graph.Conv2d(graph.AsFeatures(x), w, null, 1, 1));
        Assert.NotEqual(Run(new CpuOptions(Winograd: false)), Run(new CpuOptions(Winograd: true)));

        float[] Run(CpuOptions options)
        {
            using var executor = new CpuExecutor(options);
            using TensorStore store = executor.CreateStore();
            store.Create("w", w.Shape, Noise(w.Shape));
            using Model.Execution.Program program = executor.Compile(graph, store);
            program.Write<float>(x, Noise(x.Shape));
            program.Run();
            return program.Read(y);
        }
    }

    // Large enough for parts of the input channels (159 MB of scratch memory otherwise): forward they are added up, backward each is a
    // result of its own. Oracle: the direct algorithm. Tolerance: Winograd's rounding, about ten times float32's over 192 x 9 products.
    [Fact]
    public void Winograd_in_parts_agrees_with_the_direct_algorithm()
    {
        var shape = new Shape(64, 192, 3, 3);
        Dictionary<string, float[]> direct = Run(new CpuOptions(Winograd: false), out long directScratch);
        Dictionary<string, float[]> parts = Run(new CpuOptions(Winograd: true), out long scratch);
        Assert.True(scratch < 64 << 20, $"{scratch} bytes of scratch memory");
        Assert.True(directScratch < 64 << 20, $"{directScratch} bytes of scratch memory");
        foreach ((string name, float[] expected) in direct)
        {
            double error = Math.Sqrt(parts[name].Zip(expected, (a, b) => Math.Pow((double)a - b, 2)).Sum() / expected.Sum(b => (double)b * b));
            Assert.True(error <= 1e-5, $"{name}: relative error {error:E1}");
        }

        Dictionary<string, float[]> Run(CpuOptions options, out long scratchBytes)
        {
            var graph = new Graph();
            Value x = graph.Input("x", TensorType.Float(1, 192, 256, 256));
            Value w = graph.Parameter("w", shape);
            Value b = graph.Parameter("b", new Shape(64));
            Value y = graph.AsPlain(graph.Output("y", graph.Conv2d(graph.AsFeatures(x), w, b, 1, 1)));
            IReadOnlyList<Value?> gradients = Gradients.Of([(y, graph.Input("dy", y.Type))], [x, w, b]);
            foreach ((Value? gradient, string name) in gradients.Zip((string[])["dx", "dw", "db"]))
            {
                graph.Output(name, gradient!);
            }

            using var executor = new CpuExecutor(options);
            using TensorStore store = executor.CreateStore();
            store.Create("w", shape, Noise(shape));
            store.Create("b", new Shape(64), Noise(new Shape(64)));
            using Model.Execution.Program program = executor.Compile(graph, store);
            foreach (Value input in graph.Inputs.Values)
            {
                program.Write<float>(input, Noise(input.Shape));
            }

            program.Run();
            scratchBytes = program.Memory.Scratch;
            return graph.Outputs.ToDictionary(output => output.Key, output => program.Read(output.Value));
        }
    }

    private static float[] Noise(Shape shape) =>
        Array.ConvertAll(Fills.Normal()(new Random(1), TensorType.Float(shape)), value => (float)value);
}

/// <summary>
/// The CPU executor in bfloat16, held to the same records; bounds are widened by the rounding of maps and factors. Where the processor has no
/// such arithmetic the tests are skipped.
/// </summary>
public sealed class Bf16Tests
{
    private static readonly CpuOptions Options = new(Bf16: true);

    public static TheoryData<string> Names
    {
        get
        {
            using var executor = new CpuExecutor(Options);
            return [.. OperationCases.All.Where(operation => OperationChecks.Supports(executor, operation)).Select(operation => operation.Name)];
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Cpu_executor_in_bf16_agrees_with_the_oracle(string name)
    {
        Assert.SkipUnless(CpuPrecision.HasBf16, "this processor has no bfloat16 arithmetic");
        using var executor = new CpuExecutor(Options);
        CaseResult result = OperationChecks.Run(executor, OperationCases.All.Single(operation => operation.Name == name));
        Assert.True(result.Passed, result.Message);
    }

    [Theory]
    [InlineData("AMX", true, Precision.Bf16)]
    [InlineData("AMX", false, Precision.Bf16)]
    [InlineData("AVX-512 BF16", true, Precision.F32)]
    [InlineData("AVX-512 BF16", false, Precision.Bf16)]
    [InlineData("AVX-512 VNNI", true, Precision.F32)]
    [InlineData("AVX2", false, Precision.F32)]
    public void The_instruction_set_decides_on_the_arithmetic(string isa, bool winograd, Precision expected) =>
        Assert.Equal(expected, CpuPrecision.Suited(isa, winograd));

    [Fact]
    public void Operations_of_training_are_refused()
    {
        using var executor = new CpuExecutor(Options);
        var graph = new Graph();
        Value x = graph.AsFeatures(graph.Input("x", TensorType.Float(1, 16, 4, 4)));
        Gradients.Of(graph.MeanSquaredError(graph.MaxPool2x2(x), 0), [x]);
        Assert.DoesNotContain(graph.Nodes, node => node.Operation is MaxPool2x2Backward && executor.CanRun(node));
        Assert.Contains(graph.Nodes, node => node.Operation is MaxPool2x2 && executor.CanRun(node));
    }
}

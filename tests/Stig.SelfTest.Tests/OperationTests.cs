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

    private static float[] Noise(Shape shape) =>
        Array.ConvertAll(Fills.Normal()(new Random(1), TensorType.Float(shape)), value => (float)value);
}

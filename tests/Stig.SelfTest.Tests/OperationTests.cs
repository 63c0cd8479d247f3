using Stig.Model.Execution.Cpu;
using Stig.SelfTest.Cases;

namespace Stig.SelfTest.Tests;

/// <summary>Every case on the CPU executor. Oracle, bound and its reason are part of each case; inputs are seeded from the case's name.</summary>
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
}

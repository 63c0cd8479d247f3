using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.SelfTest.Cases;
using Stig.Tests;

namespace Stig.SelfTest.Tests;

/// <summary>
/// What `stig selftest --golden` compares with the reference implementation's tensors, on each executor. Bounds and their reasons are part of the
/// cases.
/// </summary>
public sealed class ReferenceTests
{
    public static TheoryData<string> Names => [.. ReferenceCases.Of(ReferenceFolder.Location).Select(operation => operation.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Cpu_executor_agrees_with_the_reference(string name) => Check(new CpuExecutor(), name);

    [Theory]
    [MemberData(nameof(Names))]
    public void Cuda_executor_agrees_with_the_reference(string name)
    {
        SimulatedCuda.Require();
        Check(new CudaExecutor(0), name);
    }

    [Fact]
    public void Spectrum_generator_and_refinement_are_among_them()
    {
        // 06: spectra, both passes of the networks and the refined image; 08, where it is: two sizes.
        foreach (string file in (string[])["01_spectrum", "02_generator", "06_forward"])
        {
            Assert.Contains(Names, row => row.Data.StartsWith($"reference/{file}", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_folder_without_the_files_has_no_cases() => Assert.Empty(ReferenceCases.Of(AppContext.BaseDirectory));

    [Fact]
    public void A_weight_that_is_off_is_noticed()
    {
        OperationCase[] networks = [.. ReferenceCases.Of(ReferenceFolder.Location).Where(candidate => candidate.Inputs.Any(input => input.IsParameter))];
        Assert.NotEmpty(networks);
        foreach (OperationCase operation in networks)
        {
            // A hundredth of one layer's weights.
            CaseInput[] inputs = [.. operation.Inputs.Select(input => input.Name != "generator.conv0_2.conv1.weight" ? input
                : input with { Fill = (random, type) => Array.ConvertAll(input.Fill(random, type), value => value + 0.01) })];
            Assert.NotEqual(operation.Inputs, inputs);
            using var executor = new CpuExecutor();
            Assert.False(OperationChecks.Run(executor, operation with { Inputs = inputs }).Passed, operation.Name);
        }
    }

    private static void Check(Executor executor, string name)
    {
        using (executor)
        {
            CaseResult result = OperationChecks.Run(executor, ReferenceCases.Of(ReferenceFolder.Location).Single(operation => operation.Name == name));
            TestContext.Current.TestOutputHelper!.WriteLine(string.Join('\n', result.Measurements));
            Assert.True(result.Passed, result.Message);
        }
    }
}

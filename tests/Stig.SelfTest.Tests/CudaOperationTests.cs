using Stig.Model.Execution;
using Stig.Model.Execution.Cuda;
using Stig.Tests;

namespace Stig.SelfTest.Tests;

/// <summary>
/// The CUDA executor on the simulated CUDA libraries (tests/cudasim), held to the same records as the CPU executor. Without them, or a GPU in
/// their place, the tests are skipped.
/// </summary>
public sealed class CudaOperationTests
{
    public static TheoryData<string, Precision> Cases
    {
        get
        {
            var data = new TheoryData<string, Precision>();
            foreach (OperationCase operation in OperationCases.All.Where(operation => OperationChecks.CanRun(CudaKernels.CanRun, operation)))
            {
                data.Add(operation.Name, Precision.F32);
                data.Add(operation.Name, Precision.Tf32);
                if (!operation.NeedsFloat32Features)
                {
                    data.Add(operation.Name, Precision.Bf16);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Operation_matches_its_oracle_on_CUDA(string name, Precision precision)
    {
        SimulatedCuda.Require();
        OperationCase operation = OperationCases.All.Single(candidate => candidate.Name == name);
        using var executor = new CudaExecutor(0, precision);

        CaseResult result = OperationChecks.Run(executor, operation);

        Assert.True(result.Passed, result.Message);
    }
}

using Stig.Tests;

[assembly: AssemblyFixture(typeof(CudaLeakCheck))]

namespace Stig.Tests;

/// <summary>
/// After the last test of a program nothing may be left on the simulated device: no memory, stream, event, module, graph, handle, plan,
/// descriptor, pool or context. What is left fails the run.
/// </summary>
public sealed class CudaLeakCheck : IDisposable
{
    public void Dispose()
    {
        string leaks = SimulatedCuda.Leaks();
        Assert.True(leaks.Length == 0, $"The tests have left on the simulated CUDA device:\n{leaks}");
    }
}

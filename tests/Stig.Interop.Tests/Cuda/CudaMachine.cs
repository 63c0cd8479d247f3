using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Loading;
using Stig.Tests;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// The device for tests that run something: a GPU when STIG_CUDA_PATH or the machine gives one, otherwise the simulated libraries under
/// artifacts/cudasim when they have been built, otherwise none, and such tests are skipped with the reason.
/// </summary>
internal static class CudaMachine
{
    private static readonly string? Reason;

    static CudaMachine()
    {
        if (Environment.GetEnvironmentVariable(CudaSearch.PathVariable) is null && SimulatedCuda.BuiltFolder is { } folder)
        {
            Environment.SetEnvironmentVariable(CudaSearch.PathVariable, folder);
        }

        try
        {
            Reason = CudaDeviceInfo.Get(0).Unsuitability;
        }
        catch (CudaUnavailableException e)
        {
            Reason = e.Message;
        }
    }

    /// <summary>Opens cuda:0, or skips the test.</summary>
    internal static CudaContext Open()
    {
        Assert.SkipWhen(Reason is not null, "No CUDA device, and no simulated one under artifacts/cudasim: " + Reason);
        return CudaContext.Open(0);
    }

    /// <summary>Skips the test where one of the libraries is missing.</summary>
    internal static void Require(params CudaLibrary[] libraries)
    {
        foreach (CudaLibrary library in libraries)
        {
            try
            {
                _ = CudaLibraries.Loader.Load(library);
            }
            catch (CudaUnavailableException e)
            {
                Assert.Skip(e.Message);
            }
        }
    }
}

using Stig.Interop;
using Stig.Interop.Cuda;
using Stig.Model.Execution;

namespace Stig.SelfTest;

/// <summary>Runs cases on a device one after the other; a case that throws is a failed case, a lost device ends the run.</summary>
internal sealed class SelfTestRunner(string device, Precision precision) : IDisposable
{
    private readonly Executor executor = Device.Open(device, DevicePurpose.Refinement, winograd: false, precision);

    /// <summary>Whether the device has kernels for all of a case.</summary>
    public bool Supports(OperationCase operation) => OperationChecks.Supports(executor, operation);

    /// <summary>Runs a case.</summary>
    /// <exception cref="DeviceLostException">The device is lost; no further case can run.</exception>
    public CaseResult Run(OperationCase operation)
    {
        try
        {
            return OperationChecks.Run(executor, operation);
        }
        catch (Exception e) when (e is NativeCoreException or CudaException and not DeviceLostException)
        {
            return new CaseResult(operation.Name, [e.Message], []);
        }
    }

    public void Dispose() => executor.Dispose();
}

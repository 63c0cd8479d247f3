namespace Stig.Interop.Cuda;

/// <summary>
/// A call into the CUDA driver, cuFFT, cuBLAS or cuDNN failed. The message names library, call, code and meaning, and the
/// sizes involved where there are any.
/// </summary>
public class CudaException : Exception
{
    internal CudaException(string message, FailedCall call) : base(message) => Call = call;

    private FailedCall Call { get; }

    /// <summary>Library whose call failed ("CUDA driver", "cuFFT", "cuBLAS", "cuBLASLt", "cuDNN"); empty when no call was made.</summary>
    public string Library => Call.Library;

    /// <summary>Function that failed, as the library spells it; empty when no call was made.</summary>
    public string Function => Call.Function;

    /// <summary>Status code, 0 when no call was made.</summary>
    public int Code => Call.Code;

    /// <summary>Name of the status code, as the library spells it.</summary>
    public string CodeName => Call.CodeName;

    /// <summary>
    /// Whether the driver refused to capture work into a graph (codes 900 to 908). The same work runs as plain launches.
    /// </summary>
    public bool IsCaptureRefusal => Library == CudaResultText.Library
        && Code is >= (int)CudaResult.StreamCaptureUnsupported and <= (int)CudaResult.StreamCaptureWrongThread;
}

/// <summary>
/// The device (or, for pinned memory, the host) has no memory left: one type for the driver and all libraries. The process
/// and the context stay usable; a smaller batch may fit.
/// </summary>
public sealed class DeviceOutOfMemoryException : CudaException
{
    internal DeviceOutOfMemoryException(string message, FailedCall call, long? requestedBytes, long? freeBytes)
        : base(message, call)
    {
        RequestedBytes = requestedBytes;
        FreeBytes = freeBytes;
    }

    /// <summary>Bytes that were asked for; null when a library allocated for itself and did not say how much.</summary>
    public long? RequestedBytes { get; }

    /// <summary>Bytes free on the device when the call failed; null when the driver could not tell.</summary>
    public long? FreeBytes { get; }
}

/// <summary>
/// A tensor is larger than a library can address, whatever memory there is. A smaller batch or a smaller image may do.
/// </summary>
public sealed class DeviceLimitException : CudaException
{
    internal DeviceLimitException(string message) : base(message, default) { }
}

/// <summary>
/// The context is lost: a kernel faulted or the device went away. Every later call on the device fails the same way in this
/// process; only a new process can use it again.
/// </summary>
public sealed class DeviceLostException : CudaException
{
    internal DeviceLostException(string message, FailedCall call) : base(message, call) { }
}

/// <summary>
/// CUDA, one of its libraries or a device cannot be used here. The message says what is missing, where it was looked for and
/// what to do.
/// </summary>
public sealed class CudaUnavailableException : CudaException
{
    internal CudaUnavailableException(string message) : base(message, default) { }

    internal CudaUnavailableException(string message, FailedCall call) : base(message, call) { }

    /// <summary>Of something that was looked for.</summary>
    internal CudaUnavailableException(string reason, string tried, string remedy) : base($"{reason} Tried: {tried}. {remedy}", default)
    {
        Reason = reason;
        Remedy = remedy;
    }

    /// <summary>The message without what was tried and what to do; null where it does not say that.</summary>
    public string? Reason { get; }

    /// <summary>What to do; null where the message says it together with the reason.</summary>
    public string? Remedy { get; }
}

/// <summary>Which call failed and how.</summary>
internal readonly record struct FailedCall(string LibraryName, string FunctionName, int Code, string Name)
{
    public string Library => LibraryName ?? "";

    public string Function => FunctionName ?? "";

    public string CodeName => Name ?? "";
}

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;

namespace Stig.Interop.Cuda;

/// <summary>What a status means for the caller.</summary>
internal enum FailureKind
{
    /// <summary>The call failed and nothing else did.</summary>
    Plain,

    /// <summary>Memory ran out.</summary>
    OutOfMemory,

    /// <summary>The context is lost.</summary>
    DeviceLost,

    /// <summary>A library's work failed on the device: the driver knows whether the context is lost.</summary>
    Execution,
}

/// <summary>A status code in words.</summary>
/// <param name="Name">As the library spells it.</param>
/// <param name="Sentence">What it means.</param>
/// <param name="Kind">What follows from it.</param>
internal readonly record struct StatusText(string Name, string Sentence, FailureKind Kind = FailureKind.Plain)
{
    /// <summary>For a code that no list knows.</summary>
    internal static StatusText Unlisted => new("an unlisted code", "a newer library may define it");
}

/// <summary>
/// The checked layer of all libraries: every status goes through here and becomes an exception. The success path is one
/// comparison; names, sentences, sizes and free memory are put together only on failure.
/// </summary>
internal static unsafe class CudaCheck
{
    internal static void Check(CudaResult status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != CudaResult.Success)
        {
            Throw(CudaResultText.Library, (int)status, CudaResultText.Describe(status), call, "", null);
        }
    }

    internal static void Check(
        CudaResult status, [InterpolatedStringHandlerArgument(nameof(status))] CallDetails details,
        [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != CudaResult.Success)
        {
            Throw(CudaResultText.Library, (int)status, CudaResultText.Describe(status), call, details.ToText(), null);
        }
    }

    internal static void CheckAllocation(CudaResult status, long bytes, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != CudaResult.Success)
        {
            Throw(CudaResultText.Library, (int)status, CudaResultText.Describe(status), call, $"{bytes} bytes", bytes);
        }
    }

    internal static void Check(FftResult status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != FftResult.Success)
        {
            Throw(FftResultText.Library, (int)status, FftResultText.Describe(status), call, "", null);
        }
    }

    internal static void Check(
        FftResult status, [InterpolatedStringHandlerArgument(nameof(status))] CallDetails details,
        [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != FftResult.Success)
        {
            Throw(FftResultText.Library, (int)status, FftResultText.Describe(status), call, details.ToText(), null);
        }
    }

    internal static void Check(BlasStatus status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != BlasStatus.Success)
        {
            Throw(BlasStatusText.Library, (int)status, BlasStatusText.Describe(status), call, "", null);
        }
    }

    internal static void Check(
        BlasStatus status, [InterpolatedStringHandlerArgument(nameof(status))] CallDetails details,
        [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != BlasStatus.Success)
        {
            Throw(BlasStatusText.Library, (int)status, BlasStatusText.Describe(status), call, details.ToText(), null);
        }
    }

    internal static void Check(DnnStatus status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != DnnStatus.Success)
        {
            Throw(DnnStatusText.Library, (int)status, DnnStatusText.Describe(status), call, DnnStatusText.LastError(), null);
        }
    }

    internal static void Check(
        DnnStatus status, [InterpolatedStringHandlerArgument(nameof(status))] CallDetails details,
        [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != DnnStatus.Success)
        {
            string text = details.ToText();
            string last = DnnStatusText.LastError();
            Throw(DnnStatusText.Library, (int)status, DnnStatusText.Describe(status), call, last.Length > 0 ? $"{text}; {last}" : text, null);
        }
    }

    /// <summary>Name of the function in the text of a call: <c>DriverApi.cuInit(0)</c> gives <c>cuInit</c>.</summary>
    internal static string FunctionOf(string call)
    {
        int end = call.IndexOf('(', StringComparison.Ordinal);
        string name = end < 0 ? call : call[..end];
        return name[(name.LastIndexOf('.') + 1)..];
    }

    /// <summary>The exception for a failed call.</summary>
    /// <param name="library">Library's name.</param>
    /// <param name="code">Status code.</param>
    /// <param name="text">The code in words.</param>
    /// <param name="call">Text of the call.</param>
    /// <param name="details">Sizes involved; may be empty.</param>
    /// <param name="requestedBytes">Bytes asked for, where the call was an allocation.</param>
    /// <param name="memory">What the driver says of free memory now: asked only where it matters.</param>
    internal static CudaException Failure(
        string library, int code, StatusText text, string call, string details, long? requestedBytes, Func<(CudaResult Status, long Free)> memory)
    {
        FailedCall failed = new(library, FunctionOf(call), code, text.Name);
        string message = string.Create(CultureInfo.InvariantCulture, $"{library}: {failed.Function} returned {text.Name} ({code}): {text.Sentence}")
            + (details.Length > 0 ? $"; {details}" : "");
        if (text.Kind is FailureKind.OutOfMemory or FailureKind.Execution)
        {
            (CudaResult status, long free) = memory();
            StatusText driver = CudaResultText.Describe(status);

            // Out of memory while a context is opened leaves the thread with the one before, which may be closed: no loss.
            bool closed = text.Kind == FailureKind.OutOfMemory && status == CudaResult.ContextIsDestroyed;
            if (driver.Kind == FailureKind.DeviceLost && !closed)
            {
                return new DeviceLostException(
                    string.Create(CultureInfo.InvariantCulture, $"{message}. The driver reports {driver.Name} ({(int)status}): {driver.Sentence}."), failed);
            }

            if (text.Kind == FailureKind.OutOfMemory)
            {
                return status == CudaResult.Success
                    ? new DeviceOutOfMemoryException(string.Create(CultureInfo.InvariantCulture, $"{message}; {free} bytes are free on the device."), failed, requestedBytes, free)
                    : new DeviceOutOfMemoryException(message + ".", failed, requestedBytes, null);
            }
        }

        return text.Kind == FailureKind.DeviceLost ? new DeviceLostException(message + ".", failed) : new CudaException(message + ".", failed);
    }

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Throw(string library, int code, StatusText text, string call, string details, long? requestedBytes) =>
        throw Failure(library, code, text, call, details, requestedBytes, FreeMemory);

    private static (CudaResult Status, long Free) FreeMemory()
    {
        nuint free;
        nuint total;
        CudaResult status = DriverApi.cuMemGetInfo_v2(&free, &total);
        return (status, status == CudaResult.Success ? (long)free : 0);
    }
}

/// <summary>The sizes involved in a call, formatted only when its status is a failure.</summary>
[InterpolatedStringHandler]
internal ref struct CallDetails
{
    private DefaultInterpolatedStringHandler text;

    public CallDetails(int literalLength, int formattedCount, CudaResult status, out bool failed)
        : this(literalLength, formattedCount, failed = status != CudaResult.Success) { }

    public CallDetails(int literalLength, int formattedCount, FftResult status, out bool failed)
        : this(literalLength, formattedCount, failed = status != FftResult.Success) { }

    public CallDetails(int literalLength, int formattedCount, BlasStatus status, out bool failed)
        : this(literalLength, formattedCount, failed = status != BlasStatus.Success) { }

    public CallDetails(int literalLength, int formattedCount, DnnStatus status, out bool failed)
        : this(literalLength, formattedCount, failed = status != DnnStatus.Success) { }

    private CallDetails(int literalLength, int formattedCount, bool failed) =>
        text = failed ? new DefaultInterpolatedStringHandler(literalLength, formattedCount, CultureInfo.InvariantCulture) : default;

    public void AppendLiteral(string value) => text.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => text.AppendFormatted(value);

    public void AppendFormatted<T>(T value, string? format) => text.AppendFormatted(value, format);

    internal string ToText() => text.ToStringAndClear();
}

namespace Stig.Interop;

/// <summary>A call into STIG's native core failed; the message holds the function, the reason and the extents involved.</summary>
public class NativeCoreException : Exception
{
    /// <summary>Creates the exception for a status and the core's sentence.</summary>
    /// <param name="status">What kind of failure it was.</param>
    /// <param name="message">The core's sentence.</param>
    public NativeCoreException(CoreStatus status, string message) : base(message) => Status = status;

    /// <summary>What kind of failure it was.</summary>
    public CoreStatus Status { get; }
}

/// <summary>The native core could not be loaded; the message lists every place that was tried and what to do.</summary>
public sealed class NativeLibraryMissingException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">Library, places tried, remedy.</param>
    public NativeLibraryMissingException(string message) : base(message) { }
}

/// <summary>Status codes of the native core (<c>stig_status</c>).</summary>
public enum CoreStatus
{
    /// <summary>Success.</summary>
    Ok = 0,

    /// <summary>An extent, pointer or option is wrong.</summary>
    InvalidArgument = 1,

    /// <summary>The host has no memory left.</summary>
    OutOfMemory = 2,

    /// <summary>A library cannot do this shape.</summary>
    Unsupported = 3,

    /// <summary>A library call failed for another reason.</summary>
    LibraryFailure = 4,

    /// <summary>A defect of the core.</summary>
    InternalError = 5,

    /// <summary>A number is infinite or not a number where that may not be.</summary>
    NotFinite = 6,
}

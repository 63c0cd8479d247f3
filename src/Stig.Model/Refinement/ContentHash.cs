using System.Globalization;
using System.IO.Hashing;

namespace Stig.Model.Refinement;

/// <summary>The 64-bit XXH3 of a file's content: tells whether a file has changed, a hundred times faster than a cryptographic hash, which
/// decoding and encoding would wait for. It is no protection against forgery.</summary>
internal static class ContentHash
{
    /// <summary>The hash as 16 hexadecimal digits.</summary>
    public static string Of(ReadOnlySpan<byte> content) => Compute(content).ToString("x16", CultureInfo.InvariantCulture);

    /// <summary>The hash of what a stream holds from where it is, as 16 hexadecimal digits.</summary>
    public static string Of(Stream content)
    {
        var hash = new XxHash3();
        hash.Append(content);
        return hash.GetCurrentHashAsUInt64().ToString("x16", CultureInfo.InvariantCulture);
    }

    /// <summary>The hash.</summary>
    public static ulong Compute(ReadOnlySpan<byte> content) => XxHash3.HashToUInt64(content);
}

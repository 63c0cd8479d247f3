using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Stig.Model.Imaging;

/// <summary>Puts texts into PNG data: tEXt chunks, which viewers and tools show as properties of the image.</summary>
/// <remarks>PNG (ISO/IEC 15948), 5.3 chunk layout, 11.3.4.3 tEXt, annex D the checksum.</remarks>
public static class PngText
{
    private const int HeaderLength = 13, ChunkOverhead = 12, MaxKeywordLength = 79;

    /// <summary>The PNG data with a text chunk for each entry, in order, right after the header.</summary>
    /// <param name="png">Whole PNG data.</param>
    /// <param name="texts">Keywords (1 to 79 characters; "Software", "Comment", ...) and texts; characters of Latin-1 without controls, the
    /// text may also hold line feeds.</param>
    /// <exception cref="ArgumentException">The data do not start as PNG does, or a keyword or text holds what a chunk cannot.</exception>
    public static byte[] Add(ReadOnlySpan<byte> png, IReadOnlyList<KeyValuePair<string, string>> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        int insertAt = PngChunks.Signature.Length + ChunkOverhead + HeaderLength;
        if (png.Length < insertAt || !png.StartsWith(PngChunks.Signature) || !png[12..].StartsWith("IHDR"u8))
        {
            throw new ArgumentException("The data are not a PNG image.", nameof(png));
        }

        byte[][] contents = [.. texts.Select(entry => Content(entry.Key, entry.Value))];
        byte[] result = new byte[png.Length + contents.Sum(content => content.Length + ChunkOverhead)];
        png[..insertAt].CopyTo(result);
        Span<byte> rest = result.AsSpan(insertAt);
        foreach (byte[] content in contents)
        {
            BinaryPrimitives.WriteInt32BigEndian(rest, content.Length);
            "tEXt"u8.CopyTo(rest[4..]);
            content.CopyTo(rest[8..]);
            BinaryPrimitives.WriteUInt32BigEndian(rest[(8 + content.Length)..], Crc32.HashToUInt32(rest.Slice(4, 4 + content.Length)));
            rest = rest[(content.Length + ChunkOverhead)..];
        }

        png[insertAt..].CopyTo(rest);
        return result;
    }

    /// <summary>The texts of a PNG image's tEXt chunks, in order.</summary>
    /// <param name="png">Whole PNG data.</param>
    /// <exception cref="ArgumentException">The data do not start as PNG does, or a chunk breaks off or has a wrong checksum.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> Read(ReadOnlySpan<byte> png)
    {
        if (!png.StartsWith(PngChunks.Signature))
        {
            throw new ArgumentException("The data are not a PNG image.", nameof(png));
        }

        List<KeyValuePair<string, string>> texts = [];
        var chunks = new PngChunks(png);
        bool sound = true;
        while (sound && chunks.MoveNext())
        {
            PngChunk chunk = chunks.Current;
            sound = chunk.IsSound;
            if (chunk.Type == "tEXt" && chunk.Content.IndexOf((byte)0) is int end and >= 0)
            {
                texts.Add(new(Encoding.Latin1.GetString(chunk.Content[..end]), Encoding.Latin1.GetString(chunk.Content[(end + 1)..])));
            }
        }

        return sound && chunks.IsWhole
            ? texts
            : throw new ArgumentException("A chunk of the PNG image breaks off or has a wrong checksum.", nameof(png));
    }

    /// <summary>The content of a text chunk.</summary>
    /// <exception cref="ArgumentException">The keyword or text holds what a chunk cannot.</exception>
    internal static byte[] Content(string keyword, string text)
    {
        if (keyword.Length is 0 or > MaxKeywordLength || !keyword.All(IsPrintable) || keyword.Trim() != keyword)
        {
            throw new ArgumentException($"'{keyword}' cannot be a PNG keyword.", nameof(keyword));
        }

        return text.All(character => character == '\n' || IsPrintable(character))
            ? [.. Encoding.Latin1.GetBytes(keyword), 0, .. Encoding.Latin1.GetBytes(text)]
            : throw new ArgumentException($"The text of '{keyword}' holds characters outside Latin-1.", nameof(text));
    }

    private static bool IsPrintable(char character) => character is (>= ' ' and <= '~') or (>= '\u00A1' and <= '\u00FF');
}

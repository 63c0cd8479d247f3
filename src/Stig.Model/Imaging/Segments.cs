using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Stig.Model.Imaging;

/// <summary>A chunk of PNG data.</summary>
/// <param name="type">Its four letters.</param>
/// <param name="whole">Length, type, content and checksum.</param>
internal readonly ref struct PngChunk(string type, ReadOnlySpan<byte> whole)
{
    public string Type { get; } = type;

    public ReadOnlySpan<byte> Whole { get; } = whole;

    public ReadOnlySpan<byte> Content => Whole[8..^4];

    /// <summary>Whether a decoder that does not know the chunk cannot show the image (5.4).</summary>
    public bool IsCritical => char.IsAsciiLetterUpper(Type[0]);

    /// <summary>Whether the checksum is that of type and content.</summary>
    public bool IsSound => Crc32.HashToUInt32(Whole[4..^4]) == BinaryPrimitives.ReadUInt32BigEndian(Whole[^4..]);
}

/// <summary>The chunks of PNG data in order, up to the end mark or the first that breaks off. Checksums are looked at only where asked for.</summary>
/// <remarks>PNG (ISO/IEC 15948), 5.2 the signature; 5.3: length, type, content, checksum; what follows IEND is none of the image.</remarks>
internal ref struct PngChunks(ReadOnlySpan<byte> data)
{
    private ReadOnlySpan<byte> rest = data.Length > Signature.Length ? data[Signature.Length..] : [];

    /// <summary>What PNG data begin with.</summary>
    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', (byte)'\r', (byte)'\n', 0x1A, (byte)'\n'];

    public PngChunk Current { get; private set; }

    /// <summary>Whether nothing is left over after the last chunk; asked once there are no more.</summary>
    public readonly bool IsWhole => rest.IsEmpty;

    public readonly PngChunks GetEnumerator() => this;

    public bool MoveNext()
    {
        if (Current.Type == "IEND" || rest.Length < 12 || BinaryPrimitives.ReadUInt32BigEndian(rest) > rest.Length - 12)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32BigEndian(rest);
        Current = new PngChunk(Encoding.Latin1.GetString(rest.Slice(4, 4)), rest[..(12 + length)]);
        rest = rest[(12 + length)..];
        return true;
    }
}

/// <summary>A marker segment of JPEG data.</summary>
internal readonly ref struct JpegSegment(byte marker, ReadOnlySpan<byte> content)
{
    public byte Marker { get; } = marker;

    public ReadOnlySpan<byte> Content { get; } = content;
}

/// <summary>The marker segments of JPEG data in order, entropy-coded data between them passed over, up to the end mark or the first that
/// breaks off.</summary>
/// <remarks>JPEG (ITU-T T.81), annex B: FF, marker, length, content; without length and content the end (D9) and what is not given here:
/// restart marks (D0..D7), the start (D8), TEM (01). In entropy-coded data FF is followed by 00 or by a marker; FF FF is fill.</remarks>
internal ref struct JpegSegments(ReadOnlySpan<byte> data)
{
    public const byte EndOfImage = 0xD9, StartOfScan = 0xDA;

    private ReadOnlySpan<byte> rest = data;

    public JpegSegment Current { get; private set; }

    public readonly JpegSegments GetEnumerator() => this;

    public bool MoveNext()
    {
        // What else stands between segments decoders pass over too.
        while (rest.IndexOf((byte)0xFF) is int skip and >= 0 && rest[skip..].IndexOfAnyExcept((byte)0xFF) is int fill and > 0)
        {
            byte marker = rest[skip + fill];
            rest = rest[(skip + fill + 1)..];
            if (marker is 0x00 or 0x01 or (>= 0xD0 and <= 0xD8))
            {
                continue;
            }

            // Decoders take a length that does not even count itself for an empty content.
            int length = marker == EndOfImage ? 0 : rest.Length < 2 ? int.MaxValue : Math.Max((ushort)2, BinaryPrimitives.ReadUInt16BigEndian(rest));
            if (length > rest.Length)
            {
                break;
            }

            Current = new JpegSegment(marker, length == 0 ? [] : rest[2..length]);
            rest = marker == EndOfImage ? [] : rest[length..];
            return true;
        }

        return false;
    }
}

/// <summary>A chunk of WebP data.</summary>
internal readonly ref struct RiffChunk(string type, ReadOnlySpan<byte> content)
{
    public string Type { get; } = type;

    public ReadOnlySpan<byte> Content { get; } = content;
}

/// <summary>The chunks of WebP data in order. The last one may break off: its content is what there is.</summary>
/// <remarks>WebP (RFC 9649), 2.3: type, length, content, padded to an even length.</remarks>
internal ref struct RiffChunks(ReadOnlySpan<byte> data)
{
    private ReadOnlySpan<byte> rest = data.Length > 12 ? data[12..] : [];

    public RiffChunk Current { get; private set; }

    public readonly RiffChunks GetEnumerator() => this;

    public bool MoveNext()
    {
        if (rest.Length < 8)
        {
            return false;
        }

        long length = Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]), rest.Length - 8);
        Current = new RiffChunk(Encoding.Latin1.GetString(rest[..4]), rest.Slice(8, (int)length));
        rest = rest[(int)Math.Min(rest.Length, 8 + length + (length & 1))..];
        return true;
    }
}

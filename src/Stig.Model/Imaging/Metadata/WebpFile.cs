using System.Buffers.Binary;
using System.Text;

namespace Stig.Model.Imaging;

/// <summary>Puts metadata into WebP data.</summary>
/// <remarks>WebP (RFC 9649), 2.7: a file with metadata begins with a VP8X chunk, whose flags tell what there is; the profile stands
/// before the image, EXIF and XMP after it.</remarks>
internal static class WebpFile
{
    private const int HeaderLength = 12;

    private const byte Profile = 0x20, Alpha = 0x10, Exif = 0x08, Xmp = 0x04;

    /// <summary>The data with chunks for metadata.</summary>
    /// <param name="webp">Data of a still image without metadata.</param>
    /// <param name="metadata">The metadata.</param>
    /// <param name="width">The image's width in pixels, 1..2^24.</param>
    /// <param name="height">The image's height in pixels, 1..2^24.</param>
    public static byte[] Add(byte[] webp, ImageMetadata metadata, int width, int height)
    {
        byte flags = 0;
        flags |= metadata.ColourProfile is null ? (byte)0 : Profile;
        flags |= metadata.Exif is null ? (byte)0 : Exif;
        flags |= metadata.Xmp is null ? (byte)0 : Xmp;
        if (flags == 0)
        {
            return webp;
        }

        var file = new MemoryStream(webp.Length + 4096);
        file.Write(webp.AsSpan(0, HeaderLength));
        file.Write(new byte[8 + 10]);
        Write(file, "ICCP", metadata.ColourProfile);
        foreach (RiffChunk chunk in new RiffChunks(webp))
        {
            // An encoder that has written VP8X said so there; opacity has a chunk of its own or, lossless, a bit of the header.
            flags |= chunk.Type switch
            {
                "VP8X" => (byte)(chunk.Content[0] & Alpha),
                "ALPH" => Alpha,
                "VP8L" when (chunk.Content[4] & 0x10) != 0 => Alpha,
                _ => 0,
            };
            if (chunk.Type != "VP8X")
            {
                Write(file, chunk.Type, chunk.Content.ToArray());
            }
        }

        Write(file, "EXIF", metadata.Exif);
        Write(file, "XMP ", metadata.Xmp);
        byte[] result = file.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(result.AsSpan(4), result.Length - 8);
        Span<byte> extended = result.AsSpan(HeaderLength);
        "VP8X"u8.CopyTo(extended);
        BinaryPrimitives.WriteInt32LittleEndian(extended[4..], 10);
        extended[8] = flags;
        // The reserved bytes above the flags and the fourth bytes of the sizes stay zero.
        BinaryPrimitives.WriteInt32LittleEndian(extended[12..], width - 1);
        extended[15] = (byte)(height - 1);
        extended[16] = (byte)((height - 1) >> 8);
        extended[17] = (byte)((height - 1) >> 16);
        return result;
    }

    private static void Write(MemoryStream file, string type, byte[]? content)
    {
        if (content is null)
        {
            return;
        }

        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, content.Length);
        file.Write(Encoding.Latin1.GetBytes(type));
        file.Write(length);
        file.Write(content);
        file.Write(new byte[content.Length & 1]);
    }
}

using System.Buffers;
using Stig.Interop;

namespace Stig.Model.Imaging;

/// <summary>Reads the PNG files that most images are, three times as fast as Skia, and leaves every other one to it.</summary>
/// <remarks>PNG (ISO/IEC 15948). What is read: 8 bits a channel, grey or colour, with or without opacity, not interlaced, no transparent
/// colour, no animation; sound in every checksum, and with nothing missing or left over. All else, damage among it, is for Skia to read or to name.</remarks>
internal static class PngDecoder
{
    /// <summary>Decodes a file.</summary>
    /// <param name="encoded">The file; its header has been read.</param>
    /// <param name="width">Its width in pixels.</param>
    /// <param name="height">Its height in pixels.</param>
    /// <param name="arrays">Where to take memory for pixels from; null: from the heap.</param>
    /// <returns>The image as it is stored, without regard to an orientation; null where the file is left to Skia.</returns>
    public static RgbImage? Decode(ReadOnlySpan<byte> encoded, int width, int height, PixelArrays? arrays)
    {
        const int Depth = 24, ColourType = 25, Compression = 26, Filter = 27, Interlace = 28;
        int channels = encoded[ColourType] switch { 0 => 1, 4 => 2, 2 => 3, 6 => 4, _ => 0 };
        long rowLength = 1 + ((long)channels * width), length = rowLength * (height + 1);
        if (channels == 0 || encoded[Depth] != 8 || (encoded[Compression] | encoded[Filter] | encoded[Interlace]) != 0
            || length > Array.MaxLength || DataLength(encoded) is not (int compressedLength, int pieces))
        {
            return null;
        }

        // A row of zeros stands above the first.
        byte[] rows = ArrayPool<byte>.Shared.Rent((int)length);
        byte[] gathered = ArrayPool<byte>.Shared.Rent(pieces > 1 ? compressedLength : 0);
        try
        {
            rows.AsSpan(0, (int)rowLength).Clear();
            return Inflate(Data(encoded, gathered), rows.AsSpan((int)rowLength, (int)(length - rowLength)))
                ? Assemble(rows, channels, width, height, arrays)
                : null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rows);
            ArrayPool<byte>.Shared.Return(gathered);
        }
    }

    // How long the compressed data are and in how many pieces; null where the chunks are not as they are here.
    private static (int Length, int Pieces)? DataLength(ReadOnlySpan<byte> encoded)
    {
        int length = 0, pieces = 0, index = 0;
        bool closed = false;
        foreach (PngChunk chunk in new PngChunks(encoded))
        {
            bool expected = chunk.Type switch
            {
                "IHDR" => index == 0 && chunk.Content.Length == 13,
                "IDAT" => index > 0 && !closed,
                "IEND" => pieces > 0,
                // A palette beside colours is a suggestion for screens.
                "PLTE" => !chunk.Content.IsEmpty,
                "tRNS" or "acTL" => false,
                _ => !chunk.IsCritical,
            };
            if (!expected || (index == 0 && chunk.Type != "IHDR") || (chunk.IsCritical && !chunk.IsSound))
            {
                return null;
            }

            switch (chunk.Type)
            {
                case "IDAT":
                    (length, pieces) = (length + chunk.Content.Length, pieces + 1);
                    break;
                case "IEND":
                    return (length, pieces);
                default:
                    closed = pieces > 0;
                    break;
            }

            index++;
        }

        return null;
    }

    /// <summary>The compressed data of a file.</summary>
    /// <param name="encoded">The file.</param>
    /// <param name="gathered">Memory to put all pieces of them together in; if it is empty, the first piece is given where it is.</param>
    public static ReadOnlySpan<byte> Data(ReadOnlySpan<byte> encoded, Span<byte> gathered)
    {
        int length = 0;
        foreach (PngChunk chunk in new PngChunks(encoded))
        {
            if (chunk.Type == "IDAT")
            {
                if (gathered.IsEmpty)
                {
                    return chunk.Content;
                }

                chunk.Content.CopyTo(gathered[length..]);
                length += chunk.Content.Length;
            }
        }

        return gathered[..length];
    }

    private static unsafe bool Inflate(ReadOnlySpan<byte> data, Span<byte> rows)
    {
        fixed (byte* source = data, target = rows)
        {
            return !data.IsEmpty && NativeMethods.stig_inflate(source, data.Length, target, rows.Length) == CoreStatus.Ok;
        }
    }

    private static RgbImage? Assemble(byte[] rows, int channels, int width, int height, PixelArrays? arrays)
    {
        int stride = channels * width;
        byte[] pixels = arrays?.Take(3 * width * height) ?? GC.AllocateUninitializedArray<byte>(3 * width * height);
        byte[]? alpha = channels is 2 or 4 ? GC.AllocateUninitializedArray<byte>(width * height) : null;
        for (int y = 0; y < height; y++)
        {
            int at = ((y + 1) * (stride + 1)) + 1;
            Span<byte> row = rows.AsSpan(at, stride);
            if (rows[at - 1] > PngFilters.Last)
            {
                arrays?.Return(pixels);
                return null;
            }

            PngFilters.Undo(rows[at - 1], row, rows.AsSpan(at - stride - 1, stride), channels);
            Spread(row, channels, pixels.AsSpan(3 * width * y, 3 * width), alpha is null ? default : alpha.AsSpan(width * y, width));
        }

        return new RgbImage(width, height, pixels, alpha);
    }

    private static void Spread(ReadOnlySpan<byte> row, int channels, Span<byte> colours, Span<byte> opacities)
    {
        switch (channels)
        {
            case 3:
                row.CopyTo(colours);
                break;
            case 4:
                for (int i = 0, o = 0, pixel = 0; pixel < opacities.Length; i += 4, o += 3, pixel++)
                {
                    colours[o] = row[i];
                    colours[o + 1] = row[i + 1];
                    colours[o + 2] = row[i + 2];
                    opacities[pixel] = row[i + 3];
                }

                break;
            default:
                for (int i = 0, o = 0, pixel = 0; i < row.Length; i += channels, o += 3, pixel++)
                {
                    colours.Slice(o, 3).Fill(row[i]);
                    if (channels == 2)
                    {
                        opacities[pixel] = row[i + 1];
                    }
                }

                break;
        }
    }
}

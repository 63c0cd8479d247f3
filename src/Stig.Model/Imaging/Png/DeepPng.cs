using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;

namespace Stig.Model.Imaging;

/// <summary>Reads the samples of PNG files with 16 bits a channel, which Skia would cut to their upper byte.</summary>
/// <remarks>PNG (ISO/IEC 15948). Works on files that Skia has decoded without complaint, so the header is sound; of the data Skia's
/// decoder forgives some damage that is not forgiven here.</remarks>
internal static class DeepPng
{
    // Adam7 (8.2): first column, first row, column step, row step of each pass.
    private static readonly (int X, int Y, int StepX, int StepY)[] Passes =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

    /// <summary>Overwrites decoded pixels by the file's samples v as round(v / 257). Opacity given by a transparent colour
    /// (tRNS) stays as it is.</summary>
    /// <param name="encoded">The file.</param>
    /// <param name="interleaved">Height x width x 4 values, red, green, blue, opacity.</param>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <exception cref="InvalidDataException">The compressed data are damaged.</exception>
    /// <exception cref="IOException">They end early, or are not of a kind that PNG has.</exception>
    public static void Decode(ReadOnlySpan<byte> encoded, Span<byte> interleaved, int width, int height)
    {
        byte[] data = ArrayPool<byte>.Shared.Rent(encoded.Length);
        try
        {
            using var samples = new ZLibStream(new MemoryStream(data, 0, PngDecoder.Data(encoded, data).Length), CompressionMode.Decompress);
            int channels = encoded[25] switch { 0 => 1, 4 => 2, 2 => 3, _ => 4 };
            Decode(samples, channels, interlaced: encoded[28] == 1, interleaved, width, height);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(data);
        }
    }

    private static void Decode(Stream samples, int channels, bool interlaced, Span<byte> interleaved, int width, int height)
    {
        int unit = 2 * channels;
        var previous = new byte[unit * width];
        var current = new byte[unit * width];
        foreach ((int x, int y, int stepX, int stepY) in interlaced ? Passes : [(0, 0, 1, 1)])
        {
            int columns = (width - x + stepX - 1) / stepX;
            if (columns <= 0)
            {
                continue;
            }

            previous.AsSpan().Clear();
            for (int row = y; row < height; row += stepY)
            {
                Span<byte> line = current.AsSpan(0, unit * columns);
                int filter = samples.ReadByte();
                samples.ReadExactly(line);
                if (filter is < 0 or > PngFilters.Last)
                {
                    throw new InvalidDataException($"Row {row} has the filter {filter}.");
                }

                PngFilters.Undo(filter, line, previous, unit);
                for (int column = 0; column < columns; column++)
                {
                    Store(line.Slice(unit * column, unit), interleaved.Slice(4 * (row * width + x + column * stepX), 4));
                }

                (previous, current) = (current, previous);
            }
        }
    }

    private static void Store(ReadOnlySpan<byte> samples, Span<byte> pixel)
    {
        int channels = samples.Length / 2;
        int colours = channels >= 3 ? 3 : 1;
        for (int channel = 0; channel < 3; channel++)
        {
            pixel[channel] = Sample(samples, colours == 3 ? channel : 0);
        }

        if (channels > colours)
        {
            pixel[3] = Sample(samples, colours);
        }
    }

    private static byte Sample(ReadOnlySpan<byte> samples, int channel) =>
        (byte)((BinaryPrimitives.ReadUInt16BigEndian(samples[(2 * channel)..]) + 128) / 257);
}

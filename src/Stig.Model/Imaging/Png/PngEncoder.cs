using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace Stig.Model.Imaging;

/// <summary>Writes PNG with 8 bits a channel, not interlaced: grey, grey with opacity, colour, or colour with opacity.</summary>
/// <remarks>PNG (ISO/IEC 15948). Level 1 is <see cref="RunDeflate"/>, the others are zlib's.</remarks>
internal static class PngEncoder
{
    // Filtered bytes that share one set of codes: enough for the codes to be cheap, few enough to follow the image and to stay in a
    // processor's cache.
    private const int BlockLength = 1 << 17;

    /// <summary>Encodes an image.</summary>
    /// <param name="image">The image.</param>
    /// <param name="grey">Whether to write one channel, the rounded mean of the three.</param>
    /// <param name="options">Level and filter.</param>
    /// <param name="chunks">Chunks to write between the header and the pixels: four letters and contents.</param>
    /// <param name="file">Receives the file's content.</param>
    /// <exception cref="IOException">The image is too large to be encoded in memory.</exception>
    public static void Encode(
        RgbImage image, bool grey, EncodeOptions options, IReadOnlyList<(string Type, byte[] Content)> chunks, ByteBuffer file)
    {
        // What is not compressed gains nothing from being predicted.
        PngFilter filter = options is { PngLevel: 0, PngFilter: PngFilter.Adaptive } ? PngFilter.None : options.PngFilter;
        using var rows = new PngRows(image, grey, filter);
        long filtered = (long)rows.RowLength * image.Height;
        if (filtered > Array.MaxLength / 2)
        {
            throw new IOException($"An image of {image.Width} x {image.Height} pixels is too large to be encoded. Cut it into parts.");
        }

        file.Free((int)filtered + 4096);
        file.Add(PngChunks.Signature);
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, image.Width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), image.Height);
        header[8] = 8;
        header[9] = (byte)(PngRows.Channels(image, grey) switch { 1 => 0, 2 => 4, 3 => 2, _ => 6 });
        AddChunk(file, "IHDR", header);
        foreach ((string type, byte[] content) in chunks)
        {
            AddChunk(file, type, content);
        }

        int start = BeginChunk(file, "IDAT");
        byte[] block = ArrayPool<byte>.Shared.Rent(Math.Max(BlockLength, rows.RowLength));
        try
        {
            if (options.PngLevel == 1)
            {
                var deflate = new RunDeflate(file);
                Compress(rows, image.Height, block, (data, last) => deflate.Append(data, last));
            }
            else
            {
                var compressed = new MemoryStream((int)filtered / 2);
                using (var zlib = new ZLibStream(compressed, ZLibOptions(options.PngLevel, filter), leaveOpen: true))
                {
                    Compress(rows, image.Height, block, (data, _) => zlib.Write(data));
                }

                file.Add(compressed.GetBuffer().AsSpan(0, (int)compressed.Length));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        EndChunk(file, start);
        AddChunk(file, "IEND", []);
    }

    private delegate void BlockSink(ReadOnlySpan<byte> data, bool last);

    // Differences are small numbers with few repetitions, for which zlib has a strategy; rows as they are do repeat.
    private static ZLibCompressionOptions ZLibOptions(int level, PngFilter filter) => new()
    {
        CompressionLevel = level,
        CompressionStrategy = filter == PngFilter.None ? ZLibCompressionStrategy.Default : ZLibCompressionStrategy.Filtered,
    };

    private static void Compress(PngRows rows, int height, byte[] block, BlockSink sink)
    {
        int length = rows.RowLength, rowsABlock = Math.Max(1, BlockLength / length);
        for (int y = 0; y < height; y += rowsABlock)
        {
            int count = Math.Min(rowsABlock, height - y);
            for (int i = 0; i < count; i++)
            {
                rows.Next(block.AsSpan(i * length, length));
            }

            sink(block.AsSpan(0, count * length), y + count == height);
        }
    }

    private static void AddChunk(ByteBuffer file, string type, ReadOnlySpan<byte> content)
    {
        int start = BeginChunk(file, type);
        file.Add(content);
        EndChunk(file, start);
    }

    private static int BeginChunk(ByteBuffer file, string type)
    {
        int start = file.Length;
        file.Add([0, 0, 0, 0]);
        file.Add(Encoding.Latin1.GetBytes(type));
        return start;
    }

    // The length goes before the type, the checksum of type and content after it.
    private static void EndChunk(ByteBuffer file, int start)
    {
        Span<byte> chunk = file.Written[start..];
        BinaryPrimitives.WriteInt32BigEndian(chunk, chunk.Length - 8);
        uint checksum = Crc32.HashToUInt32(chunk[4..]);
        BinaryPrimitives.WriteUInt32BigEndian(file.Free(sizeof(uint)), checksum);
        file.Advance(sizeof(uint));
    }
}

using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Stig.Model.Tests.Imaging;

/// <summary>Writes PNG files of any colour type and depth, written from the PNG specification for the tests alone: the oracle
/// for decoding.</summary>
internal static class TestPng
{
    /// <summary>Samples of a pixel, in the file's channels.</summary>
    public delegate int[] Samples(int x, int y);

    public static byte[] Encode(int width, int height, int depth, int colourType, Samples samples, bool interlaced = false,
                                params (string Type, byte[] Content)[] extraChunks)
    {
        var raw = new MemoryStream();
        (int X, int Y, int StepX, int StepY)[] passes = interlaced
            ? [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
            : [(0, 0, 1, 1)];
        foreach (var pass in passes)
        {
            WritePass(raw, width, height, depth, samples, pass);
        }

        var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionLevel.Fastest, leaveOpen: true))
        {
            raw.WriteTo(zlib);
        }

        byte[] idat = compressed.ToArray();
        var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        file.Write(Chunk("IHDR", Header(width, height, depth, colourType, interlaced)));
        foreach (var (type, content) in extraChunks)
        {
            file.Write(Chunk(type, content));
        }

        // Two pieces: files may divide their data anywhere.
        file.Write(Chunk("IDAT", idat[..(idat.Length / 2)]));
        file.Write(Chunk("IDAT", idat[(idat.Length / 2)..]));
        file.Write(Chunk("IEND", []));
        return file.ToArray();
    }

    public static byte[] HeaderOnly(int width, int height)
    {
        var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        file.Write(Chunk("IHDR", Header(width, height, 8, 2, interlaced: false)));
        file.Write(Chunk("IDAT", [0x78, 0x01]));
        return file.ToArray();
    }

    private static byte[] Header(int width, int height, int depth, int colourType, bool interlaced)
    {
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9], header[12]) = ((byte)depth, (byte)colourType, (byte)(interlaced ? 1 : 0));
        return header;
    }

    // Row filters 0 to 4 in turn, so that every one of them is met.
    private static void WritePass(MemoryStream raw, int width, int height, int depth, Samples samples,
                                  (int X, int Y, int StepX, int StepY) pass)
    {
        byte[]? above = null;
        int filter = 0;
        for (int y = pass.Y; y < height; y += pass.StepY)
        {
            var bits = new List<int>();
            int unit = 1;
            for (int x = pass.X; x < width; x += pass.StepX)
            {
                int[] pixel = samples(x, y);
                unit = Math.Max(1, pixel.Length * depth / 8);
                foreach (int sample in pixel)
                {
                    for (int bit = depth - 1; bit >= 0; bit--)
                    {
                        bits.Add((sample >> bit) & 1);
                    }
                }
            }

            if (bits.Count == 0)
            {
                return;
            }

            var line = new byte[(bits.Count + 7) / 8];
            for (int i = 0; i < bits.Count; i++)
            {
                line[i / 8] |= (byte)(bits[i] << (7 - i % 8));
            }

            raw.WriteByte((byte)filter);
            for (int i = 0; i < line.Length; i++)
            {
                int a = i >= unit ? line[i - unit] : 0, b = above?[i] ?? 0, c = i >= unit ? above?[i - unit] ?? 0 : 0;
                int p = a + b - c;
                int toA = Math.Abs(p - a), toB = Math.Abs(p - b), toC = Math.Abs(p - c);
                int paeth = toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
                int[] predictions = [0, a, b, (a + b) / 2, paeth];
                raw.WriteByte((byte)(line[i] - predictions[filter]));
            }

            above = line;
            filter = (filter + 1) % 5;
        }
    }

    /// <summary>A chunk: length, type, content, checksum.</summary>
    public static byte[] Chunk(string type, byte[] content)
    {
        byte[] chunk = [0, 0, 0, 0, .. Encoding.Latin1.GetBytes(type), .. content, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt32BigEndian(chunk, content.Length);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(chunk.Length - 4), Checksum(chunk.AsSpan(4, chunk.Length - 8)));
        return chunk;
    }

    /// <summary>Makes the checksums of all whole chunks right, in place.</summary>
    public static byte[] WithChecksums(byte[] png)
    {
        for (int at = 8; at + 12 <= png.Length;)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at));
            if (length > png.Length - at - 12)
            {
                break;
            }

            int end = at + 8 + (int)length;
            BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(end), Checksum(png.AsSpan(at + 4, 4 + (int)length)));
            at = end + 4;
        }

        return png;
    }

    // CRC-32 as in annex D of the specification.
    private static uint Checksum(ReadOnlySpan<byte> body)
    {
        uint checksum = uint.MaxValue;
        foreach (byte value in body)
        {
            checksum ^= value;
            for (int bit = 0; bit < 8; bit++)
            {
                checksum = (checksum >> 1) ^ ((checksum & 1) * 0xEDB88320);
            }
        }

        return ~checksum;
    }
}

using System.Buffers.Binary;
using System.IO.Compression;

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
        WriteChunk(file, "IHDR", Header(width, height, depth, colourType, interlaced));
        foreach (var (type, content) in extraChunks)
        {
            WriteChunk(file, type, content);
        }

        // Two pieces: files may divide their data anywhere.
        WriteChunk(file, "IDAT", idat[..(idat.Length / 2)]);
        WriteChunk(file, "IDAT", idat[(idat.Length / 2)..]);
        WriteChunk(file, "IEND", []);
        return file.ToArray();
    }

    public static byte[] HeaderOnly(int width, int height)
    {
        var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        WriteChunk(file, "IHDR", Header(width, height, 8, 2, interlaced: false));
        WriteChunk(file, "IDAT", [0x78, 0x01]);
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

    private static void WriteChunk(MemoryStream file, string type, byte[] content)
    {
        byte[] body = [.. System.Text.Encoding.ASCII.GetBytes(type), .. content];
        var number = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, content.Length);
        file.Write(number);
        file.Write(body);
        BinaryPrimitives.WriteUInt32BigEndian(number, Checksum(body));
        file.Write(number);
    }

    // CRC-32 as in annex D of the specification.
    private static uint Checksum(byte[] body)
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

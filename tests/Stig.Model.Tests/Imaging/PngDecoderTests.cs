using System.Buffers.Binary;
using System.IO.Compression;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>The program's own PNG decoder against the samples that went into files, and against Skia. All comparisons are exact.</summary>
public sealed class PngDecoderTests
{
    private static readonly (int Width, int Height)[] Sizes = [(1, 1), (1, 9), (9, 1), (2, 3), (3, 7), (33, 17), (64, 64), (67, 31), (300, 11)];

    private static RgbImage? Decode(byte[] file)
    {
        // Arrays that have been used before hold other pixels.
        var arrays = new PixelArrays(1 << 24);
        (int width, int height) = (BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(20)));
        byte[] used = arrays.Take(3 * width * height);
        used.AsSpan().Fill(0xA5);
        arrays.Return(used);
        return PngDecoder.Decode(file, width, height, arrays);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(6)]
    public void Samples_come_back(int colourType)
    {
        // The writer of the tests filters rows by the five filters in turn, by the standard's formulas in plain integers.
        const int Seed = 4711;
        foreach ((int width, int height) in Sizes)
        {
            // Noise, so that every sum overflows somewhere and Paeth's three cases are all met.
            byte[] noise = new byte[4 * width * height];
            new Random(Seed).NextBytes(noise);
            int channels = colourType switch { 0 => 1, 4 => 2, 2 => 3, _ => 4 };
            int Sample(int x, int y, int channel) => noise[(4 * ((y * width) + x)) + channel];
            byte[] file = TestPng.Encode(width, height, 8, colourType, (x, y) => [.. Enumerable.Range(0, channels).Select(channel => Sample(x, y, channel))]);
            (int X, int Y)[] places = [.. Enumerable.Range(0, width * height).Select(i => (i % width, i / width))];
            var expected = new RgbImage(width, height,
                [.. places.SelectMany(at => Enumerable.Range(0, 3).Select(i => (byte)Sample(at.X, at.Y, channels < 3 ? 0 : i)))],
                channels is 2 or 4 ? [.. places.Select(at => (byte)Sample(at.X, at.Y, channels - 1))] : null);
            SkiaOracle.AssertSame(expected, Decode(file), $"type {colourType}, {width} x {height}, seed {Seed}");
        }
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(2, 3)]
    [InlineData(4, 2)]
    [InlineData(6, 4)]
    public void A_changed_file_gives_what_Skia_gives_or_is_left_to_it(int colourType, int channels)
    {
        // Changes of the compressed data pass with the checksum of the chunk made right, so that inflation and filters meet them.
        const int Seed = 90210, Rounds = 1500;
        byte[] original = TestPng.Encode(23, 19, 8, colourType, (x, y) => [.. Enumerable.Range(0, channels).Select(i => (x * x * (i + 1)) + (y * 7) & 0xFF)]);
        int decoded = 0, left = 0;
        for (int round = 0; round < Rounds; round++)
        {
            var random = new Random(Seed + round);
            byte[] file = [.. original];
            for (int changes = random.Next(1, 3); changes > 0; changes--)
            {
                file[random.Next(29, file.Length)] ^= (byte)(1 << random.Next(8));
            }

            if (Decode(random.Next(4) > 0 ? TestPng.WithChecksums(file) : file) is RgbImage image)
            {
                decoded++;
                SkiaOracle.AssertSame(image, SkiaOracle.Decode(file), $"round {round}, seed {Seed}");
            }
            else
            {
                left++;
            }
        }

        Assert.True(left > Rounds / 2, $"{left} of {Rounds} were left to Skia");
        // A change of an ancillary chunk, or one in the bits that fill up the last byte, does no harm.
        Assert.True(decoded < Rounds / 4, $"{decoded} of {Rounds} were decoded");
    }

    [Fact]
    public void Rows_of_any_content_are_decoded_as_Skia_decodes_them()
    {
        // Random differences behind random filters: rows that no encoder writes, and stored, fixed and dynamic blocks.
        const int Seed = 31337;
        for (int round = 0; round < 300; round++)
        {
            var random = new Random(Seed + round);
            int colourType = new[] { 0, 2, 4, 6 }[random.Next(4)], channels = colourType switch { 0 => 1, 4 => 2, 2 => 3, _ => 4 };
            int width = random.Next(1, 50), height = random.Next(1, 30), stride = 1 + (channels * width);
            byte[] rows = new byte[stride * height];
            random.NextBytes(rows);
            if (random.Next(2) == 0)
            {
                // Few different values, so that matches and short codes occur.
                for (int i = 0; i < rows.Length; i++)
                {
                    rows[i] &= 3;
                }
            }

            for (int y = 0; y < height; y++)
            {
                rows[y * stride] = (byte)random.Next(5);
            }

            CompressionLevel level = new[] { CompressionLevel.NoCompression, CompressionLevel.Fastest, CompressionLevel.SmallestSize }[random.Next(3)];
            byte[] file = File(width, height, colourType, Deflated(rows, level), pieces: random.Next(1, 6));
            RgbImage? image = Decode(file);
            Assert.NotNull(image);
            SkiaOracle.AssertSame(image, SkiaOracle.Decode(file), $"round {round}, seed {Seed}");
        }
    }

    [Fact]
    public void Everything_else_is_left_to_Skia()
    {
        byte[] Plain(int depth, int colourType, bool interlaced, params (string, byte[])[] chunks) =>
            TestPng.Encode(5, 4, depth, colourType, (x, y) => [.. Enumerable.Repeat(x + y, colourType switch { 0 or 3 => 1, 4 => 2, 2 => 3, _ => 4 })], interlaced, chunks);
        byte[] rows = new byte[4 * 16], palette = new byte[3 * 256];
        byte[] good = Deflated(rows, CompressionLevel.Fastest);
        Assert.NotNull(Decode(File(5, 4, 2, good, 1)));
        Assert.NotNull(Decode(Plain(8, 2, false, ("gAMA", new byte[4]), ("PLTE", palette))));

        byte[] filterFive = [.. rows];
        filterFive[2 * 16] = 5;
        byte[] withoutEnd = File(5, 4, 2, good, 1)[..^12], badHeader = File(5, 4, 2, good, 1), badData = File(5, 4, 2, good, 1);
        badHeader[30] ^= 1;
        badData[^13] ^= 1;
        (string What, byte[] File)[] files =
        [
            ("16 bits", Plain(16, 2, false)), ("4 bits", Plain(4, 0, false)), ("palette", Plain(8, 3, false, ("PLTE", palette))),
            ("empty palette", Plain(8, 2, false, ("PLTE", []))),
            ("interlaced", Plain(8, 6, true)), ("transparent colour", Plain(8, 2, false, ("tRNS", new byte[6]))),
            ("animation", Plain(8, 2, false, ("acTL", new byte[8]))), ("unknown critical chunk", Plain(8, 2, false, ("ABCD", []))),
            ("filter 5", File(5, 4, 2, Deflated(filterFive, CompressionLevel.Fastest), 1)),
            ("rows missing", File(5, 4, 2, Deflated(rows[..^1], CompressionLevel.Fastest), 1)),
            ("rows too many", File(5, 4, 2, Deflated([.. rows, 0], CompressionLevel.Fastest), 1)),
            ("data left over", File(5, 4, 2, [.. good, 0], 1)), ("data cut short", File(5, 4, 2, good[..^1], 1)),
            ("checksum of the rows", File(5, 4, 2, [.. good[..^1], (byte)(good[^1] ^ 1)], 1)),
            ("preset dictionary", File(5, 4, 2, [0x78, 0xBB, 0, 0, 0, 1, .. good[2..]], 1)), ("no data", File(5, 4, 2, [], 1)),
            ("checksum of the header", badHeader), ("checksum of the data", badData), ("no end", withoutEnd),
        ];
        Assert.All(files, entry => Assert.True(Decode(entry.File) is null, entry.What));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void What_follows_the_end_is_none_of_the_image(int pieces)
    {
        // Of the data in that place a part may belong to the image, or more than memory was taken for.
        byte[] data = Deflated(new byte[4 * 16], CompressionLevel.Fastest), whole = File(5, 4, 2, data, pieces);
        Assert.NotNull(Decode([.. whole, .. TestPng.Chunk("IDAT", new byte[10_000])]));
        Assert.Null(Decode([.. File(5, 4, 2, data[..^1], pieces), .. TestPng.Chunk("IDAT", data[^1..])]));
        Assert.Null(ImageCodec.Decode([.. whole, .. TestPng.Chunk("eXIf", TestExif.Make(true, 6, 5, 4))], "a.png").Source.Metadata.Exif);
    }

    [Fact]
    public void Data_that_are_not_together_are_left_to_Skia()
    {
        byte[] data = Deflated(new byte[4 * 16], CompressionLevel.Fastest);
        byte[] header = File(5, 4, 2, data, 1)[..33];
        byte[] apart = [.. header, .. TestPng.Chunk("IDAT", data[..4]), .. TestPng.Chunk("tEXt", []), .. TestPng.Chunk("IDAT", data[4..]), .. TestPng.Chunk("IEND", [])];
        byte[] twice = [.. header, .. header.AsSpan(8), .. TestPng.Chunk("IDAT", data), .. TestPng.Chunk("IEND", [])];
        Assert.Null(Decode(apart));
        Assert.Null(Decode(twice));
        byte[] empty = [.. header, .. TestPng.Chunk("IDAT", []), .. TestPng.Chunk("IDAT", data), .. TestPng.Chunk("IDAT", []), .. TestPng.Chunk("tEXt", []), .. TestPng.Chunk("IEND", []), 1, 2, 3];
        Assert.NotNull(Decode(empty));
    }

    private static byte[] Deflated(byte[] rows, CompressionLevel level)
    {
        var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, level, leaveOpen: true))
        {
            zlib.Write(rows);
        }

        return compressed.ToArray();
    }

    // A file around compressed rows, which are cut into pieces.
    private static byte[] File(int width, int height, int colourType, byte[] data, int pieces)
    {
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (8, (byte)colourType);
        List<byte> file = [0x89, .. "PNG\r\n\x1A\n"u8, .. TestPng.Chunk("IHDR", header)];
        for (int piece = 0; piece < pieces; piece++)
        {
            file.AddRange(TestPng.Chunk("IDAT", data[(piece * data.Length / pieces)..((piece + 1) * data.Length / pieces)]));
        }

        return [.. file, .. TestPng.Chunk("IEND", [])];
    }
}

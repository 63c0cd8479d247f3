using System.Buffers.Binary;
using System.IO.Compression;
using SkiaSharp;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>The PNG encoder against Skia's decoder, zlib's inflate and the formulas of the standard. All comparisons are exact.</summary>
public sealed class PngEncoderTests
{
    private static readonly (int Width, int Height)[] Sizes = [(1, 1), (1, 9), (9, 1), (2, 3), (33, 17), (67, 31), (257, 65), (45000, 3)];

    public static TheoryData<PngFilter, int> Settings()
    {
        var data = new TheoryData<PngFilter, int>();
        foreach (PngFilter filter in Enum.GetValues<PngFilter>())
        {
            foreach (int level in new[] { 0, 1, 2, 6, 9 })
            {
                data.Add(filter, level);
            }
        }

        return data;
    }

    private static byte[] Encode(RgbImage image, bool grey, EncodeOptions options)
    {
        using var file = new ByteBuffer();
        PngEncoder.Encode(image, grey, options, [], file);
        return file.Written.ToArray();
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public void Skia_decodes_the_same_pixels(PngFilter filter, int level)
    {
        // Every number of channels, sizes with odd tails for vectors, rows longer than a block of codes.
        foreach ((int width, int height) in Sizes.Where(size => level < 6 || size.Width < 1000))
        {
            foreach (bool grey in new[] { false, true })
            {
                foreach (bool opaque in new[] { false, true })
                {
                    RgbImage image = Make(width, height, 7, opaque);
                    byte[] file = Encode(image, grey, new EncodeOptions { PngFilter = filter, PngLevel = level });
                    SkiaOracle.AssertSame(grey ? Greyed(image) : image, SkiaOracle.Decode(file), $"{width} x {height}");
                }
            }
        }
    }

    [Theory]
    [InlineData("noise")]
    [InlineData("flat")]
    [InlineData("steps")]
    [InlineData("runs")]
    public void Every_kind_of_content_is_kept(string kind)
    {
        const int Seed = 20240517, Width = 301, Height = 223;
        var random = new Random(Seed);
        byte[] pixels = new byte[3 * Width * Height];
        random.NextBytes(pixels);
        for (int i = 0; kind != "noise" && i < pixels.Length;)
        {
            // Runs of every length around deflate's limits of 3 and 258.
            int length = kind switch { "flat" => pixels.Length, "steps" => 3 * 1000, _ => random.Next(1, 600) };
            pixels.AsSpan(i, Math.Min(length, pixels.Length - i)).Fill((byte)random.Next(4));
            i += length;
        }

        var image = new RgbImage(Width, Height, pixels);
        foreach (PngFilter filter in Enum.GetValues<PngFilter>())
        {
            byte[] file = Encode(image, false, new EncodeOptions { PngFilter = filter });
            SkiaOracle.AssertSame(image, SkiaOracle.Decode(file), $"{kind}, filter {filter}, seed {Seed}");
            Assert.True(kind != "flat" || file.Length < 2500, $"a flat image takes {file.Length} bytes (filter {filter}, seed {Seed})");
        }
    }

    [Fact]
    public void Rows_are_filtered_as_the_standard_says()
    {
        // Oracle: the formulas of chapter 9 in plain integers. Adaptive: the filter with the least sum of absolute differences, the first
        // of several.
        RgbImage image = Make(67, 23, 11, opaque: false);
        foreach (PngFilter filter in Enum.GetValues<PngFilter>())
        {
            byte[] rows = Rows(Encode(image, false, new EncodeOptions { PngFilter = filter }));
            for (int y = 0; y < image.Height; y++)
            {
                byte[][] expected = [.. Enumerable.Range(0, 5).Select(number => Filtered(image, y, number))];
                int best = Enumerable.Range(0, 5).MinBy(number => expected[number].Sum(value => Math.Abs((int)(sbyte)value)));
                int number = filter == PngFilter.Adaptive ? best : (int)filter - 1;
                int start = y * (1 + (4 * image.Width));
                Assert.Equal(number, rows[start]);
                Assert.Equal(expected[number], rows[(start + 1)..(start + 1 + (4 * image.Width))]);
            }
        }
    }

    [Fact]
    public void Stream_has_the_checksums_of_the_standards()
    {
        // Adler-32 (RFC 1950) and CRC-32 by their definitions, bit by bit.
        byte[] file = Encode(Make(93, 71, 3, opaque: true), false, new EncodeOptions());
        byte[] rows = Rows(file);
        uint low = 1, high = 0;
        foreach (byte value in rows)
        {
            low = (low + value) % 65521;
            high = (high + low) % 65521;
        }

        // IEND has 12 bytes, the checksum of IDAT before it 4.
        Assert.Equal((high << 16) | low, BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(file.Length - 20)));
        for (int at = 8; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            uint remainder = uint.MaxValue;
            foreach (byte value in file.AsSpan(at + 4, 4 + length))
            {
                remainder ^= value;
                for (int bit = 0; bit < 8; bit++)
                {
                    remainder = (remainder >> 1) ^ ((remainder & 1) * 0xEDB88320);
                }
            }

            Assert.Equal(~remainder, BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)));
            at += 12 + length;
        }
    }

    [Fact]
    public void Codes_are_whole_and_short()
    {
        // Kraft's sum is one, no code is above the limit; without a limit the total is that of Huffman's tree, built here by a plain
        // search for the two lightest. Fibonacci numbers make the deepest tree.
        const int Seed = 5;
        var random = new Random(Seed);
        for (int round = 0; round < 200; round++)
        {
            int count = random.Next(2, 286);
            uint[] frequencies = new uint[count];
            for (int i = 0; i < count; i++)
            {
                frequencies[i] = round % 2 == 0 ? (uint)random.Next(1000) : (uint)Math.Pow(1.6, random.Next(40));
            }

            frequencies[0] = frequencies[^1] = 1;
            foreach (int limit in new[] { 12, 15 })
            {
                byte[] lengths = new byte[count];
                HuffmanCode.Lengths(frequencies, limit, lengths);
                Assert.All(lengths.Zip(frequencies), pair => Assert.Equal(pair.Second > 0, pair.First is > 0 and <= 15));
                Assert.True(lengths.Max() <= limit);
                Assert.Equal(1.0, lengths.Where(length => length > 0).Sum(length => Math.Pow(2, -length)));
                List<double> weights = [.. frequencies.Where(frequency => frequency > 0).Select(frequency => (double)frequency)];
                double best = 0;
                while (weights.Count > 1)
                {
                    weights.Sort();
                    best += weights[0] + weights[1];
                    weights = [.. weights.Skip(2), weights[0] + weights[1]];
                }

                double total = lengths.Zip(frequencies).Sum(pair => (double)pair.First * pair.Second);
                Assert.True(lengths.Max() == limit ? total >= best : total == best, $"{total} against {best}, round {round}, seed {Seed}");
            }
        }
    }

    [Fact]
    public void Codes_of_a_deep_tree_meet_the_limit()
    {
        uint[] fibonacci = new uint[40];
        (fibonacci[0], fibonacci[1]) = (1, 1);
        for (int i = 2; i < fibonacci.Length; i++)
        {
            fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
        }

        byte[] lengths = new byte[fibonacci.Length];
        HuffmanCode.Lengths(fibonacci, 12, lengths);
        Assert.Equal(12, lengths.Max());
        Assert.Equal(1.0, lengths.Sum(length => Math.Pow(2, -length)));
        Assert.True(lengths[^1] <= lengths[0]);
    }

    [Fact]
    public void Same_image_gives_the_same_bytes()
    {
        RgbImage image = SyntheticImages.GanLike(3, 0, 64);
        byte[][] files = [.. Enumerable.Range(0, 8).AsParallel().Select(_ => ImageCodec.Encode(image, ImageFormat.Png).Bytes)];
        Assert.All(files, file => Assert.Equal(files[0], file));
    }

    [Fact]
    public void Files_are_no_larger_than_skias_fastest()
    {
        // The rate at which it is compared with Skia (bench/) would mean nothing without this.
        long own = 0, skia = 0;
        for (int i = 0; i < 8; i++)
        {
            RgbImage image = i % 2 == 0 ? SyntheticImages.RealLike(2, i, 128) : SyntheticImages.GanLike(2, i, 128);
            own += ImageCodec.Encode(image, ImageFormat.Png).Bytes.Length;
            skia += Skia(image).Length;
        }

        Assert.True(own <= skia, $"{own} bytes against {skia}");
    }

    private static byte[] Skia(RgbImage image)
    {
        byte[] interleaved = [.. Enumerable.Range(0, image.Width * image.Height)
            .SelectMany(i => new[] { image.Pixels[3 * i], image.Pixels[(3 * i) + 1], image.Pixels[(3 * i) + 2], byte.MaxValue })];
        var info = new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        using SKImage pixels = SKImage.FromPixelCopy(info, interleaved);
        using SKPixmap pixmap = pixels.PeekPixels();
        using SKData? data = pixmap.Encode(new SKPngEncoderOptions(SKPngEncoderFilterFlags.Sub, 1));
        Assert.NotNull(data);
        return data.ToArray();
    }

    // Smooth in one half, noise in the other, with flat stretches and values at both ends of the range.
    private static RgbImage Make(int width, int height, int seed, bool opaque)
    {
        var random = new Random(seed);
        byte[] pixels = new byte[3 * width * height], alpha = new byte[width * height];
        for (int i = 0; i < alpha.Length; i++)
        {
            (int x, int y) = (i % width, i / width);
            bool noise = (x / 16 + y / 8) % 2 == 0;
            for (int channel = 0; channel < 3; channel++)
            {
                pixels[(3 * i) + channel] = (byte)(noise ? random.Next(256) : y % 16 < 6 ? 255 : x + (2 * y) + (50 * channel));
            }

            alpha[i] = (byte)(noise ? random.Next(256) : 0);
        }

        return new RgbImage(width, height, pixels, opaque ? null : alpha);
    }

    private static RgbImage Greyed(RgbImage image)
    {
        byte[] pixels = [.. Enumerable.Range(0, image.Width * image.Height).SelectMany(i => Enumerable.Repeat(
            (byte)Math.Round((image.Pixels[3 * i] + image.Pixels[(3 * i) + 1] + image.Pixels[(3 * i) + 2]) / 3.0), 3))];
        return new RgbImage(image.Width, image.Height, pixels, image.Alpha);
    }

    // What the one IDAT chunk holds.
    private static byte[] Rows(byte[] file)
    {
        int at = file.AsSpan().IndexOf("IDAT"u8);
        using var zlib = new ZLibStream(new MemoryStream(file[(at + 4)..^16]), CompressionMode.Decompress);
        var rows = new MemoryStream();
        zlib.CopyTo(rows);
        return rows.ToArray();
    }

    private static byte[] Filtered(RgbImage image, int y, int number)
    {
        int Sample(int i, int row) => i < 0 || row < 0 ? 0
            : i % 4 == 3 ? image.Alpha![(row * image.Width) + (i / 4)] : image.Pixels[(3 * ((row * image.Width) + (i / 4))) + (i % 4)];
        byte[] result = new byte[4 * image.Width];
        for (int i = 0; i < result.Length; i++)
        {
            int a = Sample(i - 4, y), b = Sample(i, y - 1), c = Sample(i - 4, y - 1), p = a + b - c;
            int toA = Math.Abs(p - a), toB = Math.Abs(p - b), toC = Math.Abs(p - c);
            int paeth = toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
            result[i] = (byte)(Sample(i, y) - number switch { 0 => 0, 1 => a, 2 => b, 3 => (a + b) / 2, _ => paeth });
        }

        return result;
    }
}

using System.Buffers.Binary;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class ImageCodecTests
{
    // A grey progressive JPEG of 16 x 16 pixels: it decodes without complaint when its later scans are missing.
    private const string ProgressiveJpeg =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/wgALCAAQABAB" +
        "AREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAgAD/9oACAEBAAAAAc0r/8QAGBAAAwEBAAAAAAAAAAAAAAAAAQIRIUH/2gAIAQEAAQUCAULw2Zf/xAAWEAEBAQAAAAAAAAAAAAAA" +
        "AAAAMgH/2gAIAQEABj8CnULxev/EABoQAQADAQEBAAAAAAAAAAAAAAEAETFxQWH/2gAIAQEAAT8hecclVU0+sYA/aqlomPZ//9oACAEBAAAAEO//xAAcEAEAAgMAAwAAAAAA" +
        "AAAAAAABABEhMVFxkdH/2gAIAQEAAT8Q30JTD7EZOUGFTd68RDgqwE8KovuoCuN7s//Z";

    private const string Gif = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

    [Theory]
    [InlineData(1, 255)]
    [InlineData(2, 85)]
    [InlineData(4, 17)]
    [InlineData(8, 1)]
    public void Grey_png_of_any_depth_gives_three_equal_channels(int depth, int scale)
    {
        // Oracle: PNG specification, samples of fewer bits scale linearly to 0..255. Exact.
        int Sample(int x, int y) => (3 * x + 5 * y) & ((1 << depth) - 1);
        RgbImage image = Pixels(TestPng.Encode(13, 9, depth, 0, (x, y) => [Sample(x, y)]), "grey.png");
        AssertPixels(image, 13, 9, (x, y) => (Sample(x, y) * scale, Sample(x, y) * scale, Sample(x, y) * scale));
        Assert.Null(image.Alpha);
    }

    [Fact]
    public void Palette_png_is_expanded_and_its_transparency_kept_apart()
    {
        byte[] palette = [10, 20, 30, 200, 100, 50, 0, 255, 1, 77, 88, 99], opacities = [255, 128, 0];
        byte[] file = TestPng.Encode(7, 5, 2, 3, (x, y) => [(x + y) % 4], false, ("PLTE", palette), ("tRNS", opacities));
        RgbImage image = Pixels(file, "palette.png");
        AssertPixels(image, 7, 5, (x, y) => (palette[3 * ((x + y) % 4)], palette[3 * ((x + y) % 4) + 1], palette[3 * ((x + y) % 4) + 2]));
        Assert.NotNull(image.Alpha);
        Assert.Equal([255, 128, 0, 255], image.Alpha[..4]);
    }

    [Fact]
    public void Alpha_is_kept_apart_and_never_multiplied_into_colour()
    {
        // Colours under low and zero opacity are what premultiplication would lose. Exact.
        byte[] file = TestPng.Encode(16, 16, 8, 6, (x, y) => [x * 16, y * 16, 255 - x, (x * 16 + y) % 256]);
        RgbImage image = Pixels(file, "alpha.png");
        AssertPixels(image, 16, 16, (x, y) => (x * 16, y * 16, 255 - x));
        Assert.Equal(Enumerable.Range(0, 256).Select(i => (byte)((i % 16 * 16 + i / 16) % 256)), image.Alpha);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(2, false)]
    [InlineData(2, true)]
    [InlineData(4, false)]
    [InlineData(6, false)]
    [InlineData(6, true)]
    public void Png_of_16_bits_is_rounded_to_8(int colourType, bool interlaced)
    {
        // Oracle: round(v / 257) in floating point, over the 65536 values spread by a multiplication with an odd number. Exact.
        const int Side = 61;
        int Value(int x, int y, int channel) => ((y * Side + x) * 40503 + channel * 21845) & 0xFFFF;
        int channels = colourType switch { 0 => 1, 4 => 2, 2 => 3, _ => 4 };
        int[] Samples(int x, int y) => [.. Enumerable.Range(0, channels).Select(channel => Value(x, y, channel))];
        byte[] file = TestPng.Encode(Side, Side, 16, colourType, Samples, interlaced);
        int Round(int x, int y, int channel) => (int)Math.Round(Value(x, y, channel) / 257.0);
        RgbImage image = Pixels(file, "deep.png");
        AssertPixels(image, Side, Side, (x, y) => channels >= 3
            ? (Round(x, y, 0), Round(x, y, 1), Round(x, y, 2))
            : (Round(x, y, 0), Round(x, y, 0), Round(x, y, 0)));
        Assert.Equal(channels is 2 or 4, image.Alpha is not null);
        if (image.Alpha is not null)
        {
            Assert.Equal(Round(17, 23, channels - 1), image.Alpha[23 * Side + 17]);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_transparent_colour_of_16_bits_is_compared_whole(bool interlaced)
    {
        // 300, 40000, 5 is transparent; 301 is the same in the upper byte.
        byte[] file = TestPng.Encode(9, 9, 16, 2, (x, y) => [x == y ? 300 : 301, 40000, 5], interlaced, ("tRNS", [1, 44, 156, 64, 0, 5]));
        RgbImage image = Pixels(file, "deep.png");
        AssertPixels(image, 9, 9, (_, _) => (1, 156, 0));
        Assert.Equal(Enumerable.Range(0, 81).Select(i => (byte)(i % 9 == i / 9 ? 0 : 255)), image.Alpha!);
    }

    [Fact]
    public void Png_of_16_bits_takes_one_copy_of_its_data_at_most()
    {
        // Noise, which takes the room of its samples. The memory comes from the pool the second time.
        const int Seed = 5, Side = 200;
        var random = new Random(Seed);
        byte[] file = TestPng.Encode(Side, Side, 16, 6, (_, _) => [.. Enumerable.Range(0, 4).Select(_ => random.Next(1 << 16))]);
        byte[] interleaved = new byte[4 * Side * Side];
        long least = long.MaxValue;
        for (int round = 0; round < 3; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            DeepPng.Decode(file, interleaved, Side, Side);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.InRange(least, 0, file.Length / 2);
    }

    [Fact]
    public void Gamma_and_colour_space_chunks_do_not_change_values()
    {
        byte[] linear = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(linear, 100000);
        byte[] file = TestPng.Encode(16, 16, 8, 2, (x, y) => [x * 16 + y, y * 16 + x, 128], false, ("gAMA", linear));
        AssertPixels(Pixels(file, "linear.png"), 16, 16, (x, y) => (x * 16 + y, y * 16 + x, 128));
    }

    [Fact]
    public void Bmp_is_read()
    {
        // A bottom-up bitmap of 3 x 2 pixels, 24 bits, rows padded to four bytes, blue first.
        byte[] file = [
            (byte)'B', (byte)'M', 78, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0, 0, 0, 0, 0,
            24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            3, 2, 1, 6, 5, 4, 9, 8, 7, 0, 0, 0, 13, 12, 11, 16, 15, 14, 19, 18, 17, 0, 0, 0];
        Assert.Equal([11, 12, 13, 14, 15, 16, 17, 18, 19, 1, 2, 3, 4, 5, 6, 7, 8, 9], Pixels(file, "a.bmp").Pixels);
        for (int length = 0; length < file.Length; length++)
        {
            Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file.AsSpan(0, length), "a.bmp"));
        }
    }

    [Theory]
    [InlineData("a.png", 0)]
    [InlineData("a.WEBP", 0)]
    [InlineData("a.jpg", 6)]
    [InlineData("a.jpeg", 6)]
    public void Saved_image_is_read_back(string name, int tolerance)
    {
        // PNG and WebP are lossless; JPEG at quality 95 without subsampling keeps this smooth image within a few steps.
        using var folder = new TestFolder();
        RgbImage image = Smooth(45, 31);
        ImageCodec.Save(folder["deep/er/" + name], image);
        RgbImage back = ImageCodec.Load(folder["deep/er/" + name]);
        AssertPixels(back, 45, 31, (x, y) => Pixel(image, x, y), tolerance);
        Assert.Null(back.Alpha);
        Assert.Single(Directory.GetFiles(folder["deep/er"]));
    }

    [Theory]
    [InlineData("a.png", 0)]
    [InlineData("a.webp", 1)]
    public void Opacity_is_saved(string name, int least)
    {
        // PNG keeps colours even where nothing of them shows (opacity 0); WebP need not, so its opacities start at 1.
        using var folder = new TestFolder();
        RgbImage smooth = Smooth(20, 10);
        byte[] alpha = [.. Enumerable.Range(0, 200).Select(i => (byte)(least + i))];
        ImageCodec.Save(folder[name], new RgbImage(20, 10, smooth.Pixels, alpha));
        RgbImage back = ImageCodec.Load(folder[name]);
        Assert.Equal(smooth.Pixels, back.Pixels);
        Assert.Equal(alpha, back.Alpha);
    }

    [Fact]
    public void Exif_orientation_is_applied_once()
    {
        // Oracle: EXIF 2.3, tag 0x0112, which names the visual sides of the stored row 0 and column 0; each line below gives
        // the stored pixel shown at (x, y). The stored image is four flat blocks, so that JPEG's losses stay within 4 steps.
        const int Width = 48, Height = 32;
        (int R, int G, int B) Stored(int x, int y) => (x < 16, y < 16) switch
        {
            (true, true) => (200, 40, 40),
            (false, true) => (40, 200, 40),
            (true, false) => (40, 40, 200),
            (false, false) => (200, 200, 40),
        };
        using var folder = new TestFolder();
        ImageCodec.Save(folder["stored.jpg"], Make(Width, Height, Stored));
        byte[] stored = File.ReadAllBytes(folder["stored.jpg"]);
        (int Orientation, Func<int, int, (int, int)> Source)[] cases =
        [
            (1, (x, y) => (x, y)),
            (2, (x, y) => (Width - 1 - x, y)),
            (3, (x, y) => (Width - 1 - x, Height - 1 - y)),
            (4, (x, y) => (x, Height - 1 - y)),
            (5, (x, y) => (y, x)),
            (6, (x, y) => (y, Height - 1 - x)),
            (7, (x, y) => (Width - 1 - y, Height - 1 - x)),
            (8, (x, y) => (Width - 1 - y, x)),
        ];
        foreach (var (orientation, source) in cases)
        {
            RgbImage image = Pixels(WithOrientation(stored, orientation), $"orientation {orientation}");
            bool turned = orientation >= 5;
            AssertPixels(image, turned ? Height : Width, turned ? Width : Height, (x, y) =>
            {
                (int sourceX, int sourceY) = source(x, y);
                return Stored(sourceX, sourceY);
            }, 4);

            // Saved again it stays upright: nothing is applied a second time.
            ImageCodec.Save(folder["again.png"], image);
            Assert.Equal(image.Pixels, ImageCodec.Load(folder["again.png"]).Pixels);
        }
    }

    [Theory]
    [InlineData("a.png")]
    [InlineData("a.jpg")]
    [InlineData("a.webp")]
    public void File_cut_short_anywhere_is_refused(string name)
    {
        using var folder = new TestFolder();
        ImageCodec.Save(folder[name], Smooth(37, 23));
        AssertEveryCutRefused(File.ReadAllBytes(folder[name]), name);
    }

    [Fact]
    public void Progressive_jpeg_cut_short_anywhere_is_refused() =>
        AssertEveryCutRefused(Convert.FromBase64String(ProgressiveJpeg), "p.jpg");

    [Fact]
    public void Damaged_png_is_refused()
    {
        byte[] file = TestPng.Encode(40, 40, 8, 2, (x, y) => [x, y, x ^ y]);
        file[file.Length / 2] ^= 0x55;
        Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file, "damaged.png"));
    }

    [Fact]
    public void Empty_mislabelled_and_missing_files_are_refused_in_one_line()
    {
        using var folder = new TestFolder();
        (string Path, string Cause)[] cases =
        [
            (folder.Write("empty.png", []), "is empty"),
            (folder.Write("text.png", "this is not an image\n"u8), "is not a PNG"),
            (folder.Write("movie.png", Convert.FromBase64String(Gif)), "GIF"),
            (folder.Write("zeros.bmp", new byte[4096]), "is not a PNG"),
            (folder["missing.png"], "cannot be read"),
            (folder.Root, "cannot be read"),
        ];
        foreach ((string path, string cause) in cases)
        {
            var error = Assert.Throws<ImageFormatException>(() => ImageCodec.Load(path));
            Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
            Assert.Contains(cause, error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', error.Message);
        }
    }

    [Fact]
    public void Content_decides_on_the_format()
    {
        using var folder = new TestFolder();
        byte[] png = TestPng.Encode(3, 3, 8, 0, (x, y) => [x + y]);
        Assert.Equal(4, ImageCodec.Load(folder.Write("really-png.jpg", png)).Pixels[^1]);
    }

    [Fact]
    public void Declared_size_above_the_limit_is_refused_before_memory_is_taken()
    {
        byte[] file = TestPng.HeaderOnly(30000, 30000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file, "bomb.png"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.Contains("30000 x 30000", error.Message, StringComparison.Ordinal);

        byte[] small = TestPng.Encode(10, 10, 8, 0, (_, _) => [1]);
        Assert.Equal(10, ImageCodec.Decode(small, "small.png", maxPixels: 100).Image.Width);
        Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(small, "small.png", maxPixels: 99));
    }

    [Fact]
    public void Failed_save_names_the_folder_and_leaves_nothing()
    {
        using var folder = new TestFolder();
        string file = folder.Write("file", "x"u8);
        string below = Path.Combine(file, "a.png");
        var error = Assert.Throws<IOException>(() => ImageCodec.Save(below, Smooth(4, 4)));
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
        Assert.Contains("choose another folder", error.Message, StringComparison.Ordinal);

        // The name is taken by a folder: the rename fails, and the temporary file must be gone.
        Directory.CreateDirectory(folder["taken/a.png"]);
        Assert.Throws<IOException>(() => ImageCodec.Save(folder["taken/a.png"], Smooth(4, 4)));
        Assert.Equal([folder["taken/a.png"]], Directory.GetFileSystemEntries(folder["taken"]));

        Assert.Throws<ArgumentException>(() => ImageCodec.Save(folder["a.tiff"], Smooth(4, 4)));
        Assert.False(File.Exists(folder["a.tiff"]));
    }

    [Fact]
    public void Image_too_large_for_its_format_is_refused()
    {
        // WebP's limit is 16383 pixels a side.
        using var folder = new TestFolder();
        Assert.Throws<IOException>(() => ImageCodec.Save(folder["a.webp"], new RgbImage(16384, 1, new byte[3 * 16384])));
        Assert.Empty(Directory.GetFiles(folder.Root));
    }

    private static RgbImage Pixels(ReadOnlySpan<byte> file, string name) => ImageCodec.Decode(file, name).Image;

    private static void AssertEveryCutRefused(byte[] file, string name)
    {
        Assert.True(Pixels(file, name).Width > 0);
        for (int length = 0; length < file.Length; length++)
        {
            Assert.True(Refused(file.AsSpan(0, length), name), $"{name} cut to {length} of {file.Length} bytes was taken for whole");
        }
    }

    private static bool Refused(ReadOnlySpan<byte> file, string name)
    {
        try
        {
            ImageCodec.Decode(file, name);
            return false;
        }
        catch (ImageFormatException)
        {
            return true;
        }
    }

    // Inserts an APP1 segment after the start mark: "Exif", a big-endian TIFF header and one directory entry, Orientation as
    // SHORT.
    private static byte[] WithOrientation(byte[] jpeg, int orientation)
    {
        byte[] body = [
            (byte)'E', (byte)'x', (byte)'i', (byte)'f', 0, 0, (byte)'M', (byte)'M', 0, 42, 0, 0, 0, 8,
            0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (byte)orientation, 0, 0, 0, 0, 0, 0];
        return [.. jpeg[..2], 0xFF, 0xE1, 0, (byte)(body.Length + 2), .. body, .. jpeg[2..]];
    }

    private static RgbImage Smooth(int width, int height) =>
        Make(width, height, (x, y) => (40 + 3 * x, 30 + 4 * y, 128 + (int)(40 * Math.Sin(0.2 * (x + y)))));

    private static RgbImage Make(int width, int height, Func<int, int, (int R, int G, int B)> pixel)
    {
        var pixels = new byte[3 * width * height];
        for (int i = 0; i < width * height; i++)
        {
            (int r, int g, int b) = pixel(i % width, i / width);
            (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]) = ((byte)r, (byte)g, (byte)b);
        }

        return new RgbImage(width, height, pixels);
    }

    private static (int R, int G, int B) Pixel(RgbImage image, int x, int y)
    {
        int i = 3 * (image.Width * y + x);
        return (image.Pixels[i], image.Pixels[i + 1], image.Pixels[i + 2]);
    }

    private static void AssertPixels(RgbImage image, int width, int height, Func<int, int, (int R, int G, int B)> expected,
                                     int tolerance = 0)
    {
        Assert.Equal((width, height), (image.Width, image.Height));
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                (int r, int g, int b) = Pixel(image, x, y);
                (int er, int eg, int eb) = expected(x, y);
                int off = Math.Max(Math.Abs(r - er), Math.Max(Math.Abs(g - eg), Math.Abs(b - eb)));
                Assert.True(off <= tolerance, $"pixel ({x}, {y}) is ({r}, {g}, {b}), not ({er}, {eg}, {eb})");
            }
        }
    }
}

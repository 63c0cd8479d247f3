using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Stig.Model.Imaging;
using Stig.Tests;

namespace Stig.Model.Tests.Imaging;

/// <summary>Files made to break the decoders. For each the outcome is an image within the limit or one refusal, a line that begins with
/// the file's name; never another exception, a crash, a hang, or memory beyond what the limit allows. The mutations have
/// a long form.</summary>
[Collection(nameof(HostileInputTests))]
[CollectionDefinition(nameof(HostileInputTests), DisableParallelization = true)]
public sealed class HostileInputTests
{
    private const long MaxPixels = 1 << 16;

    // What an image of the limit takes: four interleaved bytes from the pool, three and one apart, 16-bit rows; and room for copies of
    // the file's metadata, whose unfolding ends at 8 MiB.
    private const long MaxAllocated = (16 * MaxPixels) + (48 << 20);

    private static readonly (ImageFormat Format, MetadataPolicy Policy)[] Writings =
        [(ImageFormat.Png, MetadataPolicy.Keep), (ImageFormat.Jpeg, MetadataPolicy.Safe)];

    public static TheoryData<string> Kinds() => [.. Originals().Select(original => original.Name)];

    [Theory]
    [Trait(Soak.Category, Soak.LongForm)]
    [MemberData(nameof(Kinds))]
    public void Mutations_are_decoded_or_refused(string kind)
    {
        const int Seed = 77001;
        byte[] original = Originals().Single(entry => entry.Name == kind).File;
        Assert.False(Try(original, kind), $"{kind} itself is refused");
        int refused = 0, rounds = Soak.Scale(2000, 200_000);
        for (int round = 0; round < rounds; round++)
        {
            byte[] file = Mutate(original, new Random(Seed + round));
            refused += Try(file, $"{kind} round {round}, seed {Seed}") ? 1 : 0;
        }

        Soak.Report($"{kind}: {rounds} files changed from seed {Seed}, {refused} refused");
        // Most changes hit what matters; if none were refused, nothing was tested.
        Assert.True(refused > rounds / 20, $"{refused} of {rounds} were refused");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Files_cut_short_are_refused(string kind)
    {
        byte[] original = Originals().Single(entry => entry.Name == kind).File;
        int step = Math.Max(1, original.Length / 300);
        for (int length = 0; length < original.Length; length += step)
        {
            // Metadata at the end of a file may break off where the image is whole; the length at the front says that something is missing.
            Assert.True(Try(original[..length], $"{kind} cut to {length}"), $"{kind} cut to {length} of {original.Length} bytes");
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Wrong_extensions_do_not_matter(string kind)
    {
        using var folder = new TestFolder();
        byte[] original = Originals().Single(entry => entry.Name == kind).File;
        byte[] pixels = ImageCodec.Decode(original, kind).Image.Pixels;
        foreach (string extension in ImageFiles.Extensions)
        {
            Assert.Equal(pixels, ImageCodec.Load(folder.Write("a" + extension, original)).Pixels);
        }
    }

    [Fact]
    public void Huge_sizes_are_refused_before_memory_is_taken()
    {
        RgbImage image = SyntheticImages.RealLike(1, 0, 32);
        byte[] jpeg = ImageCodec.Encode(image, ImageFormat.Jpeg).Bytes, lossless = ImageCodec.Encode(image, ImageFormat.Webp).Bytes;
        byte[] lossy = ImageCodec.Encode(image, ImageFormat.Webp, new EncodeOptions { WebpLossless = false }).Bytes;
        byte[] extended = TestImages.With(ImageFormat.Webp, image, null, [1], null);
        int frame = jpeg.AsSpan().IndexOf<byte>([0xFF, 0xC0]);
        byte[] bmp = new byte[60];
        "BM"u8.CopyTo(bmp);
        bmp[14] = 40;
        bmp[28] = 24;
        (string Name, byte[] File, int At, byte[] Size)[] cases =
        [
            ("png", TestPng.HeaderOnly(1, 1), 16, [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]),
            ("png, negative", TestPng.HeaderOnly(1, 1), 16, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1]),
            ("png, none", TestPng.HeaderOnly(1, 1), 16, [0, 0, 0, 0, 0, 0, 0, 1]),
            ("jpeg", jpeg, frame + 5, [0xFF, 0xFF, 0xFF, 0xFF]),
            ("jpeg, none", jpeg, frame + 5, [0, 0, 0, 32]),
            ("webp, lossless", lossless, 21, [0xFF, 0xFF, 0xFF, 0x0F]),
            ("webp, lossy", lossy, 26, [0xFF, 0x3F, 0xFF, 0x3F]),
            ("webp, extended", extended, 24, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("bmp", bmp, 18, [0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F]),
            ("bmp, least", bmp, 18, [1, 0, 0, 0, 0, 0, 0, 0x80]),
        ];
        foreach ((string name, byte[] file, int at, byte[] size) in cases)
        {
            byte[] changed = [.. file];
            size.CopyTo(changed, at);
            long before = GC.GetAllocatedBytesForCurrentThread();
            string message = Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(changed, name, MaxPixels)).Message;
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 16);
            Assert.StartsWith(name + ": ", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_first_size_that_is_too_large_is_refused_in_every_format()
    {
        foreach (ImageFormat format in new[] { ImageFormat.Png, ImageFormat.Jpeg, ImageFormat.Webp })
        {
            byte[] file = ImageCodec.Encode(new RgbImage(20, 10, new byte[600]), format).Bytes;
            Assert.Equal(20, ImageCodec.Decode(file, "a", maxPixels: 200).Image.Width);
            string message = Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file, "a", maxPixels: 199)).Message;
            Assert.Contains("20 x 10 pixels, more than the 199", message, StringComparison.Ordinal);
            Assert.Throws<ImageFormatException>(() => ImageCodec.Identify(file, "a", maxPixels: 199));
        }
    }

    [Fact]
    public void Bombs_do_not_take_memory()
    {
        // Resident memory of the whole process, native decoders included; no other test runs meanwhile.
        if (!File.Exists("/proc/self/clear_refs"))
        {
            Assert.Skip("The peak of resident memory is known on Linux only.");
        }

        byte[] zeros = TestImages.Deflated(new byte[200 << 20]);
        (string Type, byte[] Content)[] chunks =
        [
            ("iCCP", [.. "n\0\0"u8, .. zeros]), ("zTXt", [.. "Comment\0\0"u8, .. zeros]), ("iTXt", [.. "Comment\0\x01\0\0\0"u8, .. zeros]),
            ("iTXt", [.. "XML:com.adobe.xmp\0\x01\0\0\0"u8, .. zeros]),
        ];
        foreach ((string type, byte[] content) in chunks)
        {
            AssertLittleMemory(TestPng.Encode(8, 8, 8, 2, (_, _) => [1, 2, 3], false, (type, content)), $"{type} of 200 MiB");
        }

        // Far more pixels than the header declares, in its own data.
        byte[] small = TestPng.Encode(8, 8, 8, 2, (_, _) => [1, 2, 3]);
        int data = small.AsSpan().IndexOf("IDAT"u8) - 4;
        AssertLittleMemory([.. small[..data], .. TestPng.Chunk("IDAT", zeros), .. TestPng.Chunk("IEND", [])], "IDAT of 200 MiB");
    }

    [Fact]
    public void Jpeg_of_endless_scans_is_refused()
    {
        byte[] jpeg = ImageCodec.Encode(SyntheticImages.RealLike(1, 0, 32), ImageFormat.Jpeg).Bytes;
        int tables = jpeg.AsSpan().IndexOf<byte>([0xFF, 0xDB]), scan = jpeg.AsSpan().IndexOf<byte>([0xFF, 0xDA]);
        byte[] header = jpeg[scan..(scan + 2 + jpeg[scan + 3])], scans = [.. Enumerable.Repeat(header, 100_000).SelectMany(bytes => bytes)];
        // Decoders pass over other bytes between segments, and take a length of less than 2 for no content.
        foreach (byte[] before in new byte[][] { [], [1, 2, 0xFF, 0, 3], [0xFF, 0xE5, 0, 0], [0xFF, 0xFF, 0xFE, 0, 1] })
        {
            byte[] start = [.. jpeg[..tables], .. before, .. jpeg[tables..scan], .. before], sound = [.. start, .. jpeg[scan..]];
            byte[] file = [.. start, .. scans, .. jpeg[scan..]];
            SkiaOracle.AssertSame(SkiaOracle.Decode(sound)!, ImageCodec.Decode(sound, "a.jpg").Image, "sound");
            Assert.Contains("scans", Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file, "a.jpg")).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Files_of_endless_parts_are_refused()
    {
        RgbImage image = SyntheticImages.RealLike(1, 0, 32);
        byte[] jpeg = ImageCodec.Encode(image, ImageFormat.Jpeg).Bytes, webp = TestImages.With(ImageFormat.Webp, image, null, [1], null);
        foreach ((byte[] file, int at, byte[] part) in new[] { (jpeg, 2, new byte[] { 0xFF, 0xE1, 0, 2 }), (webp, 30, [.. "abcd"u8, 0, 0, 0, 0]) })
        {
            byte[] With(int count)
            {
                byte[] result = [.. file[..at], .. Enumerable.Repeat(part, count).SelectMany(bytes => bytes), .. file[at..]];
                if (file == webp)
                {
                    BinaryPrimitives.WriteInt32LittleEndian(result.AsSpan(4), result.Length - 8);
                }

                return result;
            }

            SkiaOracle.AssertSame(SkiaOracle.Decode(file)!, ImageCodec.Decode(With(90_000), "a").Image, "90000 parts");
            string message = Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(With(100_000), "a")).Message;
            Assert.Contains("has more than 100000 segments or chunks", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Other_formats_are_named()
    {
        (string Name, byte[] Start)[] cases =
        [
            ("GIF", [.. "GIF89a"u8]), ("TIFF", [.. "II*\0"u8]), ("TIFF", [.. "MM\0*"u8]), ("Photoshop", [.. "8BPS"u8]), ("JPEG XL", [0xFF, 0x0A]),
            ("AVIF", [0, 0, 0, 32, .. "ftypavif"u8]), ("HEIF", [0, 0, 0, 32, .. "ftypheic"u8]), ("JPEG 2000", [0, 0, 0, 12, .. "jP  "u8]),
        ];
        foreach ((string name, byte[] start) in cases)
        {
            string message = Assert.Throws<ImageFormatException>(() => ImageCodec.Decode([.. start, .. new byte[50]], "a.png")).Message;
            Assert.Equal($"a.png: holds a {name} image. Convert it to PNG, JPEG, WebP or BMP.", message);
        }
    }

    [Fact]
    public async Task What_is_no_plain_file_is_refused_without_waiting()
    {
        // Opened, the pipe would wait for a writer, and the device would never end.
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Pipes and devices have names on Unix.");
        using var folder = new TestFolder();
        using (Process make = Process.Start("mkfifo", [folder["pipe.png"]]))
        {
            make.WaitForExit();
            Assert.Equal(0, make.ExitCode);
        }

        Directory.CreateDirectory(folder["folder.png"]);
        File.CreateSymbolicLink(folder["zero.png"], "/dev/zero");
        File.CreateSymbolicLink(folder["circle.png"], folder["circle.png"]);
        File.CreateSymbolicLink(folder["nowhere.png"], folder["missing.png"]);
        string strange = "a \"b\"\nc.png";
        folder.Write(strange, "not an image"u8);
        foreach (string name in new[] { "pipe.png", "folder.png", "zero.png", "circle.png", "nowhere.png", strange })
        {
            var load = Task.Run(() => ImageCodec.Load(folder[name]), TestContext.Current.CancellationToken);
            var error = await Assert.ThrowsAsync<ImageFormatException>(() => load.WaitAsync(TimeSpan.FromSeconds(60)));
            Assert.StartsWith(folder[name].Replace("\n", "\\n", StringComparison.Ordinal) + ": ", error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', error.Message);
        }
    }

    [Fact]
    public void Files_too_long_for_the_limit_are_not_read()
    {
        using var folder = new TestFolder();
        using (FileStream file = File.Create(folder["long.png"]))
        {
            // A file with a hole takes no room on the disk.
            file.SetLength(5L << 30);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        foreach (long maxPixels in new[] { 1 << 20, ImageCodec.MaxPixels })
        {
            string message = Assert.Throws<ImageFormatException>(() => ImageCodec.Load(folder["long.png"], maxPixels)).Message;
            Assert.Contains($"has {5L << 30} bytes, more than an image of {maxPixels} pixels can need", message, StringComparison.Ordinal);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 16);
    }

    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Xmp_of_any_shape_is_carried_over_or_dropped()
    {
        const int Seed = 77002;
        int kept = 0, rounds = Soak.Scale(5000, 1_000_000);
        for (int round = 0; round < rounds; round++)
        {
            byte[] packet = TestHostileMetadata.Xmp(new Random(Seed + round));
            string what = $"round {round}, seed {Seed}";
            byte[]? output = Carried(new ImageMetadata { Xmp = packet }, MetadataPolicy.Keep, what).Xmp;
            if (output is not null)
            {
                // Nothing is left in it that would have to be changed.
                Assert.True(output.AsSpan().SequenceEqual(XmpPacket.Keep(output, 24, 16)), what);
                Assert.False(XmpPacket.PointsToManifest(output), what);
                kept++;
            }

            Assert.NotNull(XmpPacket.Keep(XmpPacket.AddEvent(output, new ImageStamp("stig 1")), 24, 16));
        }

        Soak.Report($"{rounds} packets of XMP from seed {Seed}, {kept} carried over");
        Assert.InRange(kept, rounds / 20, rounds * 19 / 20);
    }

    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void Exif_of_any_shape_is_carried_over_or_dropped()
    {
        const int Seed = 77003;
        int kept = 0, rounds = Soak.Scale(20_000, 10_000_000);
        for (int round = 0; round < rounds; round++)
        {
            byte[] exif = TestHostileMetadata.Exif(new Random(Seed + round));
            string what = $"round {round}, seed {Seed}";
            Assert.InRange(ExifData.Orientation(exif), 1, 8);
            var source = new ImageMetadata { Exif = exif };
            if (Carried(source, MetadataPolicy.Keep, what).Exif is { } output)
            {
                Assert.True(output.Length <= exif.Length && ExifData.Orientation(output) == 1, what);
                Assert.True(output.AsSpan().SequenceEqual(ExifData.Keep(output, 24, 16)), what);
                kept++;
            }

            if (Carried(source, MetadataPolicy.Safe, what).Exif is { } safe)
            {
                Assert.True(safe.AsSpan().SequenceEqual(ExifData.Safe(safe, 24, 16)), what);
            }
        }

        Soak.Report($"{rounds} EXIF structures from seed {Seed}, {kept} carried over");
        Assert.InRange(kept, rounds / 20, rounds * 19 / 20);
    }

    [Theory]
    [Trait(Soak.Category, Soak.LongForm)]
    [InlineData(ImageFormat.Png)]
    [InlineData(ImageFormat.Jpeg)]
    [InlineData(ImageFormat.Webp)]
    public void Images_with_metadata_of_any_shape_are_decoded(ImageFormat format)
    {
        const int Seed = 77004;
        RgbImage image = SyntheticImages.RealLike(1, 0, 8);
        int rounds = Soak.Scale(150, 50_000);
        for (int round = 0; round < rounds; round++)
        {
            var random = new Random(Seed + round);
            byte[] xmp = TestHostileMetadata.Xmp(random);
            byte[] file = TestImages.With(format, image, TestHostileMetadata.Profile(random), TestHostileMetadata.Exif(random), xmp);
            Assert.False(Try(file, $"{format} round {round}, seed {Seed}"), $"{format} round {round}, seed {Seed} is refused");
        }

        Soak.Report($"{format}: {rounds} files with metadata from seed {Seed}");
    }

    // What goes over, after making sure that what does not is noted.
    private static ImageMetadata Carried(ImageMetadata source, MetadataPolicy policy, string what)
    {
        try
        {
            var output = OutputMetadata.Of(source, policy, ImageFormat.Png, false, 24, 16);
            bool dropped = output.Kept.Exif is null && output.Kept.Xmp is null;
            // Of EXIF there may be nothing that is safe.
            Assert.True(policy == MetadataPolicy.Safe || dropped == (output.Notes.Count > 0), what);
            return output.Kept;
        }
        catch (Exception error) when (error is not Xunit.Sdk.IAssertionException)
        {
            throw new InvalidOperationException(what, error);
        }
    }

    // Whether the file was refused. Everything but a refusal in due form fails the test.
    private static bool Try(byte[] file, string name)
    {
        long allocated = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
        try
        {
            DecodedImage image = ImageCodec.Decode(file, name, MaxPixels);
            Assert.True((long)image.Image.Width * image.Image.Height <= MaxPixels, name);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, MaxAllocated);
            // What was decoded can be written, with whatever metadata came along; and what is written is sound.
            foreach ((ImageFormat format, MetadataPolicy policy) in Writings)
            {
                EncodedImage output = ImageCodec.Encode(image.Image, format, new EncodeOptions { Metadata = policy }, image.Source);
                DecodedImage back = ImageCodec.Decode(output.Bytes, name);
                Assert.Equal((image.Image.Width, image.Image.Height), (back.Image.Width, back.Image.Height));
            }

            return false;
        }
        catch (ImageFormatException refusal)
        {
            Assert.StartsWith(name + ": ", refusal.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', refusal.Message);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, MaxAllocated);
            return true;
        }
        finally
        {
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 30, $"{name} takes too long");
        }
    }

    private static void AssertLittleMemory(byte[] file, string name)
    {
        GC.Collect();
        // "5" sets the peak back to what is resident now.
        File.WriteAllText("/proc/self/clear_refs", "5");
        long before = PeakKibibytes();
        Try(file, name);
        Assert.True(PeakKibibytes() - before < 64 << 10, $"{name}: {PeakKibibytes() - before} KiB more");
    }

    private static long PeakKibibytes() => long.Parse(
        File.ReadLines("/proc/self/status").Single(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))[6..^3], CultureInfo.InvariantCulture);

    private static byte[] Mutate(byte[] original, Random random)
    {
        byte[] file = [.. original];
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            // Half of the changes are in the first bytes, where the headers are.
            int at = random.Next(random.Next(2) == 0 ? Math.Min(file.Length, 96) : file.Length);
            switch (random.Next(8))
            {
                case 0:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    file[at] = (byte)random.Next(256);
                    break;
                case 2:
                    byte[] extremes = [0, 1, 0x7F, 0x80, 0xFF];
                    file.AsSpan(at, Math.Min(4, file.Length - at)).Fill(extremes[random.Next(extremes.Length)]);
                    break;
                case 3:
                    int length = random.Next(Math.Min(64, file.Length - at));
                    file = [.. file[..at], .. file[(at + length)..]];
                    break;
                case 4:
                    file = [.. file[..at], .. file[at..Math.Min(file.Length, at + random.Next(64))], .. file[at..]];
                    break;
                case 5:
                    file = file[..at];
                    break;
                default:
                    file = Rearranged(file, random);
                    break;
            }

            if (file.Length == 0)
            {
                return file;
            }
        }

        // A decoder that refuses a chunk by its checksum would never see what is in it.
        return random.Next(2) == 0 && ImageHeaders.FormatOf(file) == ImageFormat.Png ? TestPng.WithChecksums(file) : file;
    }

    // A chunk of a PNG doubled, taken elsewhere (also behind the end), or left out.
    private static byte[] Rearranged(byte[] file, Random random)
    {
        List<byte[]> chunks = [];
        int length = 8;
        foreach (PngChunk chunk in new PngChunks(ImageHeaders.FormatOf(file) == ImageFormat.Png ? file : []))
        {
            chunks.Add(TestPng.Chunk(chunk.Type, chunk.Content.ToArray()));
            length += chunks[^1].Length;
        }

        if (chunks.Count == 0)
        {
            return file;
        }

        byte[] moved = chunks[random.Next(chunks.Count)];
        if (random.Next(3) > 0)
        {
            chunks.Remove(moved);
        }

        if (random.Next(3) > 0)
        {
            chunks.Insert(random.Next(chunks.Count + 1), moved);
        }

        return [.. file[..8], .. chunks.SelectMany(chunk => chunk), .. file[length..]];
    }

    private static List<(string Name, byte[] File)> Originals()
    {
        RgbImage image = SyntheticImages.RealLike(1, 0, 24);
        byte[] alpha = [.. Enumerable.Range(0, 576).Select(i => (byte)i)], exif = TestExif.Make(true, 6, 24, 24);
        var clear = new RgbImage(24, 24, image.Pixels, alpha);
        byte[] bmp = [.. "BM"u8, 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 1, 0, 24, 0, .. new byte[24], .. new byte[192]];
        return
        [
            ("png", TestImages.With(ImageFormat.Png, image, TestImages.ColourProfile, exif, TestImages.Xmp())),
            ("png, in pieces", TestPng.Encode(24, 24, 8, 6, (x, y) => [x * 10, y * 10, x * y % 256, 200])),
            ("png, 16 bits", TestPng.Encode(24, 24, 16, 6, (x, y) => [x * 2000, y * 2000, 500, 60000])),
            ("png, 16 bits, interlaced", TestPng.Encode(24, 24, 16, 2, (x, y) => [x * 2000, y * 2000, 500], interlaced: true)),
            ("png, palette", TestPng.Encode(24, 24, 4, 3, (x, y) => [(x + y) % 4], false, ("PLTE", new byte[12]), ("tRNS", [1, 2]))),
            ("png, own", ImageCodec.Encode(clear, ImageFormat.Png).Bytes),
            ("jpeg", TestImages.With(ImageFormat.Jpeg, image, TestImages.ColourProfile, exif, TestImages.Xmp(), manifest: true)),
            ("webp", TestImages.With(ImageFormat.Webp, clear, TestImages.ColourProfile, exif, TestImages.Xmp())),
            ("webp, lossy", ImageCodec.Encode(clear, ImageFormat.Webp, new EncodeOptions { WebpLossless = false }).Bytes),
            ("bmp", bmp),
        ];
    }
}

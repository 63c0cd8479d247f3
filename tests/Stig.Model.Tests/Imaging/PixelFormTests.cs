using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>What grey, palette and 16-bit images become on the way through. Exact, but for JPEG's losses.</summary>
public sealed class PixelFormTests
{
    [Theory]
    [InlineData(0, 1, SampleKind.Grey)]
    [InlineData(0, 8, SampleKind.Grey)]
    [InlineData(0, 16, SampleKind.Grey)]
    [InlineData(4, 8, SampleKind.Grey)]
    [InlineData(2, 8, SampleKind.Colour)]
    [InlineData(2, 16, SampleKind.Colour)]
    [InlineData(6, 16, SampleKind.Colour)]
    [InlineData(3, 2, SampleKind.Palette)]
    public void Png_comes_out_with_the_channels_of_its_kind_and_8_bits(int colourType, int depth, SampleKind kind)
    {
        int channels = colourType switch { 0 or 3 => 1, 4 => 2, 2 => 3, _ => 4 };
        byte[] file = TestPng.Encode(9, 5, depth, colourType, (x, y) => [.. Enumerable.Range(0, channels).Select(c => (x + y + c) & ((1 << depth) - 1))],
                                     false, colourType == 3 ? [("PLTE", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])] : []);
        DecodedImage source = ImageCodec.Decode(file, "in.png");
        Assert.Equal(new ImageHeader(ImageFormat.Png, 9, 5, kind, depth), source.Source.Header);
        byte[] output = ImageCodec.Encode(source.Image, ImageFormat.Png, null, source.Source).Bytes;
        Assert.Equal((8, colourType == 3 ? 2 : colourType), (output[24], output[25]));
        RgbImage back = ImageCodec.Decode(output, "out.png").Image;
        Assert.Equal(source.Image.Pixels, back.Pixels);
        Assert.Equal(source.Image.Alpha, back.Alpha);
    }

    [Fact]
    public void Grey_is_the_rounded_mean_of_refined_channels()
    {
        // Refinement changes the three channels each in its own way; their phase is one, so the mean has the mean of their spectra.
        byte[] pixels = [10, 20, 30, 0, 0, 1, 0, 1, 1, 255, 255, 254, 255, 254, 254, 9, 9, 9];
        byte[] means = [20, 0, 1, 255, 254, 9];
        var image = new RgbImage(6, 1, pixels, [0, 1, 2, 3, 4, 255]);
        foreach (ImageFormat format in new[] { ImageFormat.Png, ImageFormat.Webp })
        {
            var grey = new ImageSource(new ImageHeader(ImageFormat.Png, 6, 1, SampleKind.Grey, 8), ImageMetadata.Empty);
            RgbImage back = ImageCodec.Decode(ImageCodec.Encode(image, format, null, grey).Bytes, "out").Image;
            // Under opacity 0 WebP keeps no colours.
            int first = format == ImageFormat.Webp ? 1 : 0;
            Assert.Equal(means.Skip(first).SelectMany(mean => Enumerable.Repeat(mean, 3)), back.Pixels.Skip(3 * first));
            Assert.Equal(image.Alpha, back.Alpha);
        }

        // In the source stays what was in it.
        Assert.Equal(10, image.Pixels[0]);
    }

    [Fact]
    public void Grey_jpeg_comes_out_as_grey_jpeg()
    {
        var image = new RgbImage(16, 16, [.. Enumerable.Range(0, 256).SelectMany(i => Enumerable.Repeat((byte)(60 + (i / 16)), 3))]);
        var grey = new ImageSource(new ImageHeader(ImageFormat.Png, 16, 16, SampleKind.Grey, 8), ImageMetadata.Empty);
        DecodedImage once = ImageCodec.Decode(ImageCodec.Encode(image, ImageFormat.Jpeg, null, grey).Bytes, "a.jpg");
        Assert.Equal(SampleKind.Grey, once.Source.Header.Kind);
        DecodedImage twice = ImageCodec.Decode(ImageCodec.Encode(once.Image, ImageFormat.Jpeg, null, once.Source).Bytes, "b.jpg");
        Assert.Equal(SampleKind.Grey, twice.Source.Header.Kind);
        Assert.All(twice.Image.Pixels.Zip(image.Pixels), pair => Assert.InRange(pair.First - pair.Second, -2, 2));
        Assert.Equal(SampleKind.Colour, ImageCodec.Identify(ImageCodec.Encode(image, ImageFormat.Jpeg).Bytes, "c.jpg").Kind);
    }

    [Theory]
    [InlineData("GRAY", ImageFormat.Png, 0, true)]
    [InlineData("RGB ", ImageFormat.Png, 2, true)]
    [InlineData("CMYK", ImageFormat.Png, 0, false)]
    [InlineData("GRAY", ImageFormat.Webp, -1, false)]
    [InlineData("RGB ", ImageFormat.Webp, -1, true)]
    public void A_profile_goes_with_the_channels_that_it_describes(string space, ImageFormat format, int colourType, bool kept)
    {
        byte[] profile = TestImages.Profile(space);
        var image = new RgbImage(2, 1, [1, 2, 3, 4, 5, 6]);
        var source = new ImageSource(new ImageHeader(ImageFormat.Png, 2, 1, SampleKind.Grey, 8), new ImageMetadata { ColourProfile = profile });
        EncodedImage output = ImageCodec.Encode(image, format, null, source);
        Assert.True(colourType < 0 || output.Bytes[25] == colourType);
        Assert.Equal(kept ? profile : null, ImageCodec.Decode(output.Bytes, "out").Source.Metadata.ColourProfile);
        Assert.Equal(kept ? [] : [ImageNoteKind.ColourProfileDropped], output.Notes.Select(note => note.Kind));
        Assert.Equal([2, 2, 2, 5, 5, 5], ImageCodec.Decode(output.Bytes, "out").Image.Pixels);
    }

    [Theory]
    [InlineData(ImageFormat.Jpeg)]
    [InlineData(ImageFormat.Webp)]
    public void Quality_decides_on_size_and_loss(ImageFormat format)
    {
        RgbImage image = SyntheticImages.RealLike(5, 0, 64);
        EncodeOptions Lossy(int quality) => new() { Quality = quality, WebpLossless = false };
        byte[][] files = [.. new[] { 20, 60, 95 }.Select(quality => ImageCodec.Encode(image, format, Lossy(quality)).Bytes)];
        double[] losses = [.. files.Select(file => Loss(image, ImageCodec.Decode(file, "a").Image))];
        Assert.True(files[0].Length < files[1].Length && files[1].Length < files[2].Length);
        Assert.True(losses[0] > losses[1] && losses[1] > losses[2] && losses[2] > 0);
        Assert.Equal(files[1], ImageCodec.Encode(image, format, Lossy(60)).Bytes);
        Assert.Equal(image.Pixels, ImageCodec.Decode(ImageCodec.Encode(image, ImageFormat.Webp).Bytes, "a").Image.Pixels);
    }

    [Fact]
    public void Jpeg_keeps_chroma_at_full_resolution()
    {
        // T.81, B.2.2: the sampling factors of the components, 0x11 each.
        byte[] file = ImageCodec.Encode(SyntheticImages.RealLike(5, 0, 32), ImageFormat.Jpeg).Bytes;
        int frame = file.AsSpan().IndexOf<byte>([0xFF, 0xC0]);
        Assert.Equal([0x11, 0x11, 0x11], new[] { 0, 3, 6 }.Select(i => (int)file[frame + 11 + i]));
    }

    [Fact]
    public void Options_out_of_range_are_refused()
    {
        var image = new RgbImage(1, 1, [1, 2, 3]);
        foreach (EncodeOptions options in new EncodeOptions[]
                 {
                     new() { PngLevel = -1 }, new() { PngLevel = 10 }, new() { Quality = 0 }, new() { Quality = 101 },
                 })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => ImageCodec.Encode(image, ImageFormat.Png, options));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => ImageCodec.Encode(image, ImageFormat.Bmp));
    }

    [Theory]
    [InlineData(OutputFormat.Same, "a/b.PNG", ImageFormat.Png, ".PNG")]
    [InlineData(OutputFormat.Same, "b.jpeg", ImageFormat.Jpeg, ".jpeg")]
    [InlineData(OutputFormat.Same, "b.webp", ImageFormat.Webp, ".webp")]
    [InlineData(OutputFormat.Same, "b.bmp", ImageFormat.Png, ".png")]
    [InlineData(OutputFormat.Same, "b", ImageFormat.Png, ".png")]
    [InlineData(OutputFormat.Png, "b.jpg", ImageFormat.Png, ".png")]
    [InlineData(OutputFormat.Jpeg, "b.png", ImageFormat.Jpeg, ".jpg")]
    [InlineData(OutputFormat.Webp, "b.png", ImageFormat.Webp, ".webp")]
    public void Output_format_follows_the_request_and_the_extension(OutputFormat asked, string name, ImageFormat format, string extension) =>
        Assert.Equal((format, extension), ImageFormats.Output(asked, name));

    private static double Loss(RgbImage a, RgbImage b) => a.Pixels.Zip(b.Pixels).Average(pair => Math.Pow(pair.First - pair.Second, 2));

    [Fact]
    public void Headers_are_read_without_pixels()
    {
        RgbImage image = SyntheticImages.RealLike(5, 0, 32);
        byte[] bmp = [.. "BM"u8, .. new byte[12], 40, 0, 0, 0, 7, 0, 0, 0, 0xFB, 0xFF, 0xFF, 0xFF, 1, 0, 24, 0];
        byte[] lossy = ImageCodec.Encode(image, ImageFormat.Webp, new EncodeOptions { WebpLossless = false }).Bytes;
        (byte[] File, ImageHeader Expected)[] cases =
        [
            (TestPng.HeaderOnly(300, 200), new(ImageFormat.Png, 300, 200, SampleKind.Colour, 8)),
            (ImageCodec.Encode(image, ImageFormat.Jpeg).Bytes, new(ImageFormat.Jpeg, 32, 32, SampleKind.Colour, 8)),
            (ImageCodec.Encode(image, ImageFormat.Webp).Bytes[..40], new(ImageFormat.Webp, 32, 32, SampleKind.Colour, 8)),
            (lossy[..40], new(ImageFormat.Webp, 32, 32, SampleKind.Colour, 8)),
            (bmp, new(ImageFormat.Bmp, 7, 5, SampleKind.Colour, 8)),
        ];
        foreach ((byte[] file, ImageHeader expected) in cases)
        {
            Assert.Equal(expected, ImageCodec.Identify(file, "a"));
        }
    }
}

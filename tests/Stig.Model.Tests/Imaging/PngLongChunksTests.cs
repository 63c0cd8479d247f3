using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>What Skia is given of PNG files that hold long chunks. All comparisons are exact.</summary>
public sealed class PngLongChunksTests
{
    private const int Short = 1 << 16;

    [Fact]
    public void Data_without_long_chunks_stay_where_they_are()
    {
        // Noise of 16 bits, so that the chunks of the image itself are long.
        var random = new Random(11);
        byte[] file = TestPng.Encode(200, 200, 16, 2, (_, _) => [random.Next(1 << 16), random.Next(1 << 16), random.Next(1 << 16)], false,
                                     ("eXIf", new byte[Short]));
        Assert.True(PngLongChunks.Remove(file) == file);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Long_chunks_reach_the_metadata_and_not_Skia(bool interlaced)
    {
        byte[] exif = [.. TestExif.Make(true, 1, 9, 7), .. new byte[Short]], transparent = [0, 1, 0, 2, 0, 3];
        byte[] Make(params (string, byte[])[] chunks) =>
            TestPng.Encode(9, 7, 16, 2, (x, y) => [x * 5000, y * 5000, 3], interlaced, [("tRNS", transparent), .. chunks]);
        // The last one has a reserved bit, for which alone Skia refuses a file.
        byte[] file = Make(("eXIf", exif), ("caBX", new byte[Short + 1]), ("gAMA", [0, 1, 0, 0]), ("abcd", new byte[Short + 1]));
        Assert.Null(SkiaOracle.Decode(file));
        Assert.Equal(Make(("gAMA", [0, 1, 0, 0])), PngLongChunks.Remove([.. file, .. TestPng.Chunk("eXIf", [])]).ToArray());
        DecodedImage image = ImageCodec.Decode(file, "a.png");
        SkiaOracle.AssertSame(ImageCodec.Decode(Make(), "a.png").Image, image.Image, "long chunks");
        Assert.Equal(exif, image.Source.Metadata.Exif);
        Assert.True(image.Source.Metadata.HasContentCredentials);
    }

    [Fact]
    public void A_palette_that_is_long_is_none()
    {
        byte[] file = TestPng.Encode(9, 7, 8, 3, (_, _) => [1], false, ("PLTE", new byte[3 * Short]));
        Assert.Throws<ImageFormatException>(() => ImageCodec.Decode(file, "a.png"));
    }
}

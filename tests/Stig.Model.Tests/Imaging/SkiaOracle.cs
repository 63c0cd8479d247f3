using SkiaSharp;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>Skia's decoder without anything of the project's in between: the oracle for what the project writes and reads itself.</summary>
internal static class SkiaOracle
{
    /// <summary>The image; null where Skia refuses the file or finds it incomplete.</summary>
    public static RgbImage? Decode(byte[] file)
    {
        using SKData data = SKData.CreateCopy(file);
        using SKCodec? codec = SKCodec.Create(data);
        if (codec is null)
        {
            return null;
        }

        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul, null);
        if (codec.GetPixels(info, out byte[] interleaved) != SKCodecResult.Success)
        {
            return null;
        }

        byte[] pixels = [.. interleaved.Where((_, i) => i % 4 != 3)];
        byte[]? alpha = codec.Info.AlphaType == SKAlphaType.Opaque ? null : [.. interleaved.Where((_, i) => i % 4 == 3)];
        return new RgbImage(info.Width, info.Height, pixels, alpha);
    }

    /// <summary>Fails unless colours and opacities are the same.</summary>
    public static void AssertSame(RgbImage expected, RgbImage? actual, string what)
    {
        Assert.NotNull(actual);
        Assert.Equal((expected.Width, expected.Height), (actual.Width, actual.Height));
        Assert.True(expected.Pixels.AsSpan().SequenceEqual(actual.Pixels), $"{what}: colours differ");
        Assert.Equal(expected.Alpha is null, actual.Alpha is null);
        Assert.True(expected.Alpha.AsSpan().SequenceEqual(actual.Alpha), $"{what}: opacities differ");
    }
}

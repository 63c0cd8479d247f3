using System.Security.Cryptography;
using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class SyntheticImagesTests
{
    [Fact]
    public void Images_follow_from_seed_index_and_size_alone()
    {
        byte[] real = SyntheticImages.RealLike(7, 3, 64).Pixels, fake = SyntheticImages.GanLike(7, 3, 64).Pixels;
        Assert.Equal(real, SyntheticImages.RealLike(7, 3, 64).Pixels);
        Assert.Equal(fake, SyntheticImages.GanLike(7, 3, 64).Pixels);
        Assert.NotEqual(real, SyntheticImages.RealLike(7, 4, 64).Pixels);
        Assert.NotEqual(real, SyntheticImages.RealLike(8, 3, 64).Pixels);
        Assert.NotEqual(fake, SyntheticImages.GanLike(8, 3, 64).Pixels);
    }

    [Fact]
    public void Images_are_the_same_bytes_on_every_machine()
    {
        // Recorded once. Only operations that IEEE 754 rounds exactly are used, so a change means that sets made elsewhere
        // differ.
        Assert.Equal("2B037A8FA738F7E0", Digest(SyntheticImages.RealLike(1, 0, 64)));
        Assert.Equal("0B16EED37B23C4B0", Digest(SyntheticImages.GanLike(1, 0, 64)));
    }

    [Fact]
    public void Gan_like_images_have_grid_peaks_and_lack_high_frequencies()
    {
        // Oracle: single Fourier coefficients by their defining sum, averaged over 12 images. Peaks at (1/4, 1/4) and (1/2,
        // 1/2) cycles per pixel must stand out tenfold from their surroundings in the fakes and not in the reals (twofold:
        // twelve images leave that much chance); between peaks reals must have at least three times the fakes' amplitude.
        const int Size = 64, Count = 12;
        double Mean(bool fake, double fx, double fy) => Enumerable.Range(0, Count).Average(i =>
            Amplitude(fake ? SyntheticImages.GanLike(5, i, Size) : SyntheticImages.RealLike(5, i, Size), fx, fy));
        double Around(bool fake, double f) => new[] { (5, 3), (-5, 4), (3, -5), (-4, -5) }
            .Average(d => Mean(fake, f + d.Item1 / (double)Size, f + d.Item2 / (double)Size));
        foreach (double f in new[] { 0.25, 0.5 })
        {
            Assert.True(Mean(true, f, f) > 10 * Around(true, f), $"fake peak at {f}: {Mean(true, f, f)} over {Around(true, f)}");
            Assert.True(Mean(false, f, f) < 2 * Around(false, f), $"real at {f}: {Mean(false, f, f)} over {Around(false, f)}");
        }

        Assert.True(Mean(false, 0.36, 0.33) > 3 * Mean(true, 0.36, 0.33));
    }

    [Fact]
    public void Set_is_written_as_two_folders()
    {
        using var folder = new TestFolder();
        SyntheticImages.WriteSet(folder["set"], 3, 32, 11);
        Assert.Equal(["00000.png", "00001.png", "00002.png"], ImageFiles.FindIn(folder["set/real"]).Select(file => file.RelativeName));
        Assert.Equal(3, ImageFiles.FindIn(folder["set/fake"]).Count);
        Assert.Equal(SyntheticImages.GanLike(11, 2, 32).Pixels, ImageCodec.Load(folder["set/fake/00002.png"]).Pixels);
    }

    [Fact]
    public void Impossible_sizes_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => SyntheticImages.GanLike(1, 0, 66));
        Assert.Throws<ArgumentOutOfRangeException>(() => SyntheticImages.RealLike(1, 0, 4));
    }

    private static string Digest(RgbImage image) => Convert.ToHexString(SHA256.HashData(image.Pixels))[..16];

    private static double Amplitude(RgbImage image, double fx, double fy)
    {
        double re = 0, im = 0;
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                (double sin, double cos) = Math.SinCos(-2 * Math.PI * (fx * x + fy * y));
                byte value = image.Pixels[3 * (y * image.Width + x) + 1];
                (re, im) = (re + value * cos, im + value * sin);
            }
        }

        return Math.Sqrt(re * re + im * im);
    }
}

using Stig.Model.Imaging;
using Stig.Model.Reports;

namespace Stig.Model.Tests.Reports;

public sealed class ReportTests
{
    // Even a short word covers more than this many pixels with ink; without a font it covers none.
    private const int TextPixels = 30;

    [Fact]
    public void Contact_sheet_has_visible_texts()
    {
        // Oracle: the sheet without the text in question. What differs must lie where the text belongs.
        RgbImage image = Flat(64, 64, 200);
        RgbImage Sheet(string title, string head, string label) => ContactSheet.Draw(title, [head, "b"], [new(label, [image, image])], 2);
        RgbImage full = Sheet("Title of the sheet", "heading", "row one"), noTitle = Sheet("", "heading", "row one"),
            noHead = Sheet("Title of the sheet", "", "row one");
        Assert.True(Ink(full, 0, 45, 0, full.Width) > TextPixels);
        Assert.Equal(0, Ink(noTitle, 0, 40, 0, noTitle.Width));
        Assert.True(Ink(full, 45, 70, 0, full.Width) > Ink(noHead, 45, 70, 0, noHead.Width) + TextPixels);
        Assert.True(Ink(full, 75, full.Height, 0, 70) > TextPixels);
    }

    [Fact]
    public void Contact_sheet_shows_every_pixel_as_a_square()
    {
        // An image of random colours must appear as it is, each pixel three times three: found by searching for its first row.
        var pixels = new byte[3 * 8 * 5];
        new Random(4).NextBytes(pixels);
        RgbImage sheet = ContactSheet.Draw("t", ["a", "b"], [new("", [Flat(8, 5, 100), new RgbImage(8, 5, pixels)])], 3);
        (int left, int top) = Find(sheet, pixels.AsSpan(0, 3), pixels.AsSpan(3, 3), 3);
        for (int y = 0; y < 15; y++)
        {
            for (int x = 0; x < 24; x++)
            {
                Assert.Equal(pixels.AsSpan(3 * (8 * (y / 3) + x / 3), 3), sheet.Pixels.AsSpan(3 * (sheet.Width * (top + y) + left + x), 3));
            }
        }
    }

    [Fact]
    public void Contact_sheet_takes_images_of_mixed_sizes_and_ragged_rows()
    {
        using var folder = new TestFolder();
        ContactSheet.Save(folder["sheet.png"], "mixed", ["one", "two", "three"],
                          [new("first", [Flat(10, 30, 9), Flat(40, 20, 99)]), new("second row", []),
                           new("", [Flat(5, 5, 5), Flat(6, 6, 6), Flat(7, 7, 7)])]);
        RgbImage sheet = ImageCodec.Load(folder["sheet.png"]);
        Assert.True(sheet.Height > 30 + 7 && sheet.Width > 10 + 40 + 7);
        Assert.Throws<ArgumentException>(() => ContactSheet.Draw("t", ["a"], [new("", [Flat(2, 2, 1), Flat(2, 2, 1)])]));
        Assert.Throws<ArgumentException>(() => ContactSheet.Draw("t", ["a"], []));
    }

    [Fact]
    public void Spectrum_colours_rise_in_lightness_over_the_range()
    {
        // A perceptual map's lightness grows with the value: Rec. 709 luma of 256 steps must rise throughout and span most of
        // the scale. The ends are viridis's published ones.
        float[] ramp = [.. Enumerable.Range(0, 256).Select(i => 2f + 6f * i / 255)];
        RgbImage image = SpectrumImage.Draw(ramp, 256, 1, 2, 8);
        Assert.Equal([0x44, 0x01, 0x54], image.Pixels[..3]);
        Assert.Equal([0xFD, 0xE7, 0x25], image.Pixels[^3..]);
        double[] luma = [.. image.Pixels.Chunk(3).Select(rgb => 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2])];
        // Rounding to 8 bits may lose a step of one channel.
        Assert.All(Enumerable.Range(1, 255), i => Assert.True(luma[i] > luma[i - 1] - 0.8, $"step {i}: {luma[i - 1]} to {luma[i]}"));
        Assert.True(luma[^1] - luma[0] > 180);
    }

    [Fact]
    public void Spectrum_image_averages_channels_and_holds_values_to_the_range()
    {
        float[] planes = [0, 8, -5, float.NaN, 4, 0, -5, 1, 8, 16, -5, 1];
        RgbImage image = SpectrumImage.Draw(planes, 4, 1, 0, 8);
        RgbImage expected = SpectrumImage.Draw([4, 8, 0, 0], 4, 1, 0, 8);
        Assert.Equal(expected.Pixels, image.Pixels);
        Assert.Throws<ArgumentException>(() => SpectrumImage.Draw(planes, 5, 1, 0, 8));
        Assert.Throws<ArgumentException>(() => SpectrumImage.Draw(planes, 4, 1, 8, 8));
    }

    [Fact]
    public void Profile_plot_has_visible_title_labels_and_curves()
    {
        using var folder = new TestFolder();
        float[] real = [.. Enumerable.Range(0, 65).Select(r => 9 - 0.1f * r)],
            fake = [.. Enumerable.Range(0, 65).Select(r => 9 - 0.12f * r)];
        RgbImage Plot(string title, string name)
        {
            PlotSeries[] profiles = [SpectrumProfilePlot.Profile(name, real, 128), SpectrumProfilePlot.Profile("fake", fake, 128)];
            SpectrumProfilePlot.Save(folder["plot.png"], title, profiles);
            return ImageCodec.Load(folder["plot.png"]);
        }

        RgbImage plot = Plot("Profiles of real and fake images", "real"), untitled = Plot(" ", "real"),
            renamed = Plot("Profiles of real and fake images", "REAL");
        Assert.Equal((900, 560), (plot.Width, plot.Height));
        Assert.True(Ink(plot, 0, 32, 0, 900) > TextPixels);
        Assert.Equal(0, Ink(untitled, 0, 15, 0, 900));
        Assert.True(Ink(plot, 535, 560, 0, 900) > TextPixels, "no label below the plot");
        Assert.True(Ink(plot, 0, 560, 0, 20) > TextPixels, "no label left of the plot");
        Assert.NotEqual(plot.Pixels, renamed.Pixels);
        // The first curve's colour, #0072B2, along most of the plot's width.
        Assert.True(Enumerable.Range(0, 900 * 560).Count(i => plot.Pixels.AsSpan(3 * i, 3).SequenceEqual<byte>([0x00, 0x72, 0xB2])) > 500);
        Assert.Single(Directory.GetFiles(folder.Root));
    }

    [Fact]
    public void Profile_places_rings_by_frequency()
    {
        PlotSeries profile = SpectrumProfilePlot.Profile("p", [3, 2, 1], 4);
        Assert.Equal([0, 0.25, 0.5], profile.X);
        Assert.Equal([3, 2, 1], profile.Y);
    }

    [Fact]
    public void Loss_plot_is_written_and_wrong_series_are_refused()
    {
        using var folder = new TestFolder();
        LossPlot.Save(folder["loss.png"], "Losses", [new("D", [0, 1, 2], [1, 0.5, 0.4]), new("G", [0, 2], [3, 2])], 400, 300);
        Assert.True(Ink(ImageCodec.Load(folder["loss.png"]), 0, 32, 0, 400) > TextPixels);
        Assert.Throws<ArgumentException>(() => LossPlot.Save(folder["wrong.png"], "t", [new("D", [0, 1], [1])]));
        Assert.False(File.Exists(folder["wrong.png"]));
    }

    // Dark pixels in a part of the image.
    private static int Ink(RgbImage image, int top, int bottom, int left, int right)
    {
        int count = 0;
        for (int y = top; y < bottom; y++)
        {
            for (int x = left; x < right; x++)
            {
                int i = 3 * (image.Width * y + x);
                count += image.Pixels[i] + image.Pixels[i + 1] + image.Pixels[i + 2] < 300 ? 1 : 0;
            }
        }

        return count;
    }

    private static (int Left, int Top) Find(RgbImage sheet, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, int distance)
    {
        for (int i = 0; i < sheet.Width * sheet.Height - distance; i++)
        {
            if (sheet.Pixels.AsSpan(3 * i, 3).SequenceEqual(first) && sheet.Pixels.AsSpan(3 * (i + distance), 3).SequenceEqual(second))
            {
                return (i % sheet.Width, i / sheet.Width);
            }
        }

        throw new Xunit.Sdk.XunitException("The image is not on the sheet.");
    }

    private static RgbImage Flat(int width, int height, byte value)
    {
        var pixels = new byte[3 * width * height];
        Array.Fill(pixels, value);
        return new RgbImage(width, height, pixels);
    }
}

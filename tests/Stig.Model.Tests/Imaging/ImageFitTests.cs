using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

/// <summary>The three ways to bring an image to a size that a model takes. All comparisons are exact unless stated.</summary>
public sealed class ImageFitTests
{
    // A spectrum of one value has nothing to translate, so that a side of one pixel becomes two.
    [Fact]
    public void A_side_of_one_pixel_is_repeated()
    {
        var fit = new ImageFit(FitPolicy.Pad, 64, 1);
        var image = new RgbImage(3, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        RgbImage padded = fit.Fit(image, "a.png");
        Assert.Equal((3, 2), (padded.Width, padded.Height));
        Assert.Equal<byte>([.. image.Pixels, .. image.Pixels], padded.Pixels);
        Assert.Equal(image.Pixels, fit.Restore(padded, 3, 1, null).Pixels);
    }

    [Theory]
    [InlineData(1, 1, 16, 16)]
    [InlineData(16, 32, 16, 32)]
    [InlineData(17, 31, 32, 32)]
    [InlineData(5, 100, 16, 112)]
    public void Padding_reflects_and_is_cut_off_again(int width, int height, int paddedWidth, int paddedHeight)
    {
        // Oracle: walking back and forth over the pixels, the border not repeated.
        var fit = new ImageFit(FitPolicy.Pad, 64, 16);
        RgbImage image = Make(width, height);
        RgbImage padded = fit.Fit(image, "a.png");
        Assert.Equal((paddedWidth, paddedHeight), (padded.Width, padded.Height));
        for (int y = 0; y < paddedHeight; y++)
        {
            for (int x = 0; x < paddedWidth; x++)
            {
                int from = (width * Walk(y, height)) + Walk(x, width), to = (paddedWidth * y) + x;
                Assert.Equal(image.Pixels[(3 * from)..((3 * from) + 3)], padded.Pixels[(3 * to)..((3 * to) + 3)]);
            }
        }

        RgbImage back = fit.Restore(padded, width, height, image.Alpha);
        Assert.Equal(image.Pixels, back.Pixels);
        Assert.Same(image.Alpha, back.Alpha);
    }

    [Fact]
    public void Resizing_goes_to_the_square_and_back()
    {
        var fit = new ImageFit(FitPolicy.Resize, 64, 16);
        RgbImage image = Make(100, 40);
        RgbImage square = fit.Fit(image, "a.png");
        Assert.Equal((64, 64), (square.Width, square.Height));
        RgbImage back = fit.Restore(square, 100, 40, image.Alpha);
        Assert.Equal((100, 40), (back.Width, back.Height));
        Assert.Same(image.Alpha, back.Alpha);
        // The image is a plane, which resampling keeps but for rounding and the border, where the kernel is cut.
        for (int y = 8; y < 32; y++)
        {
            for (int x = 8; x < 92; x++)
            {
                int i = 3 * ((100 * y) + x);
                Assert.InRange(back.Pixels[i] - image.Pixels[i], -3, 3);
            }
        }
    }

    [Theory]
    [InlineData(FitPolicy.Resize)]
    [InlineData(FitPolicy.Reject)]
    [InlineData(FitPolicy.Pad)]
    public void What_fits_stays_as_it_is(FitPolicy policy)
    {
        RgbImage image = Make(64, 64);
        Assert.Same(image, new ImageFit(policy, 64, 16).Fit(image, "a.png"));
    }

    [Theory]
    [InlineData(64, 80)]
    [InlineData(63, 64)]
    public void Rejecting_names_image_cause_and_remedy(int width, int height)
    {
        var fit = new ImageFit(FitPolicy.Reject, 64, 16);
        string message = Assert.Throws<ImageFormatException>(() => fit.Fit(Make(width, height), "folder/a.png")).Message;
        Assert.Equal($"folder/a.png: has {width} x {height} pixels, and the model was trained at 64 x 64. " +
                     "Choose --fit pad or --fit resize, or leave it out.", message);
        Assert.Throws<ImageFormatException>(() => fit.WorkingSize(width, height, "a.png"));
    }

    [Theory]
    [InlineData(2, 65537)]
    [InlineData(65537, 2)]
    [InlineData(2, 1_000_000)]
    public void Sides_too_long_to_be_resized_are_refused(int width, int height)
    {
        // Between the two directions there would be more than 2^26 pixels, on the way there or on the way back.
        var fit = new ImageFit(FitPolicy.Resize, 1024, 16);
        string message = Assert.Throws<ImageFormatException>(() => fit.Fit(Make(width, height), "a\n.png")).Message;
        Assert.Equal($"a\\n.png: has {width} x {height} pixels, too long a side to be resized to 1024 x 1024. Cut it into parts, or leave it out.",
                     message);
        var small = new ImageFit(FitPolicy.Resize, 4, 4);
        RgbImage back = small.Restore(small.Fit(Make(width, height), "a"), width, height, null);
        Assert.Equal((width, height), (back.Width, back.Height));
    }

    [Theory]
    [InlineData(2, 1 << 24, false)]
    [InlineData(2, (1 << 24) + 1, true)]
    [InlineData(1 << 27, 2, true)]
    [InlineData(int.MaxValue, int.MaxValue, true)]
    public void Sides_too_long_to_be_padded_are_refused(int width, int height, bool refused)
    {
        var fit = new ImageFit(FitPolicy.Pad, 64, 16);
        var error = (ImageFormatException?)Record.Exception(() => fit.WorkingSize(width, height, "a.png"));
        Assert.Equal(refused, error?.Message.StartsWith($"a.png: has {width} x {height} pixels and, padded", StringComparison.Ordinal) ?? false);
    }

    [Fact]
    public void A_result_of_another_size_is_refused() =>
        Assert.Throws<ArgumentException>(() => new ImageFit(FitPolicy.Pad, 64, 16).Restore(Make(32, 32), 10, 10, null));

    private static int Walk(int steps, int length)
    {
        int at = 0, direction = 1;
        for (int i = 0; i < steps && length > 1; i++)
        {
            direction = at + direction < 0 || at + direction >= length ? -direction : direction;
            at += direction;
        }

        return at;
    }

    private static RgbImage Make(int width, int height)
    {
        byte[] pixels = new byte[3 * width * height];
        for (int i = 0; i < width * height; i++)
        {
            (pixels[3 * i], pixels[(3 * i) + 1], pixels[(3 * i) + 2]) =
                ((byte)(20 + i % width + (i / width)), (byte)(i * 7), (byte)(i % width * 3));
        }

        return new RgbImage(width, height, pixels, [.. Enumerable.Range(0, width * height).Select(i => (byte)i)]);
    }
}

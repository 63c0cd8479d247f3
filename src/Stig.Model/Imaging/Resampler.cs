namespace Stig.Model.Imaging;

/// <summary>Kernels of <see cref="Resampler"/>.</summary>
internal enum ResampleFilter
{
    /// <summary>max(0, 1 - |x|).</summary>
    Triangle,

    /// <summary>sinc(x) sinc(x / 3) for |x| below 3.</summary>
    Lanczos3,
}

/// <summary>Resizes images by separable filtering.</summary>
/// <remarks>When scaling down the kernel is stretched by the scale, so that it covers every source pixel (Skia's samplers use a
/// fixed number of taps and alias beyond a factor of two). Half-pixel centres, weights normalised at the borders, rows first,
/// rounded to 8 bits after each direction with weights of 22 fractional bits: the arithmetic that image libraries for training
/// use, so that <see cref="ResampleFilter.Triangle"/> gives the "bilinear" resizing of published code.</remarks>
internal static class Resampler
{
    private const int FractionBits = 22;

    // Of the new width and the old height, or the other way round, which is what there is between the two directions.
    private const long MaxPixelsBetween = 1 << 26;

    /// <summary>The image at another size, without opacity.</summary>
    /// <param name="image">The image.</param>
    /// <param name="width">The new width.</param>
    /// <param name="height">The new height.</param>
    /// <param name="filter">The kernel.</param>
    /// <param name="name">What to call the image in messages.</param>
    /// <exception cref="ImageFormatException">The sizes are so unlike each other that memory and time would know no bounds. What goes one
    /// way goes back too.</exception>
    public static RgbImage Resize(RgbImage image, int width, int height, ResampleFilter filter, string name)
    {
        if (image.Width == width && image.Height == height)
        {
            return image;
        }

        if (Math.Max((long)width * image.Height, (long)image.Width * height) > MaxPixelsBetween)
        {
            throw new ImageFormatException($"{ImageFiles.Printable(name)}: has {image.Width} x {image.Height} pixels, too long a side to be " +
                                           $"resized to {width} x {height}. Cut it into parts, or leave it out.");
        }

        var rows = new byte[3 * width * image.Height];
        Tap[] taps = Taps(image.Width, width, filter);
        for (int y = 0; y < image.Height; y++)
        {
            ReadOnlySpan<byte> source = image.Pixels.AsSpan(3 * image.Width * y, 3 * image.Width);
            for (int x = 0; x < width; x++)
            {
                int red = 1 << (FractionBits - 1), green = red, blue = red;
                Tap tap = taps[x];
                int i = 3 * tap.First;
                foreach (int weight in tap.Weights)
                {
                    red += weight * source[i];
                    green += weight * source[i + 1];
                    blue += weight * source[i + 2];
                    i += 3;
                }

                int o = 3 * (width * y + x);
                (rows[o], rows[o + 1], rows[o + 2]) = (ToByte(red), ToByte(green), ToByte(blue));
            }
        }

        var pixels = new byte[3 * width * height];
        taps = Taps(image.Height, height, filter);
        var sums = new int[3 * width];
        for (int y = 0; y < height; y++)
        {
            sums.AsSpan().Fill(1 << (FractionBits - 1));
            int row = taps[y].First;
            foreach (int weight in taps[y].Weights)
            {
                ReadOnlySpan<byte> source = rows.AsSpan(sums.Length * row++, sums.Length);
                for (int i = 0; i < source.Length; i++)
                {
                    sums[i] += weight * source[i];
                }
            }

            for (int i = 0; i < sums.Length; i++)
            {
                pixels[sums.Length * y + i] = ToByte(sums[i]);
            }
        }

        return new RgbImage(width, height, pixels);
    }

    private static byte ToByte(int sum) => (byte)Math.Clamp(sum >> FractionBits, 0, 255);

    private static Tap[] Taps(int from, int to, ResampleFilter filter)
    {
        double scale = (double)from / to, stretch = Math.Max(1, scale);
        double support = stretch * (filter == ResampleFilter.Triangle ? 1 : 3);
        var taps = new Tap[to];
        for (int i = 0; i < to; i++)
        {
            double centre = (i + 0.5) * scale;
            int first = Math.Max(0, (int)(centre - support + 0.5)), end = Math.Min(from, (int)(centre + support + 0.5));
            var weights = new double[end - first];
            double sum = 0;
            for (int k = 0; k < weights.Length; k++)
            {
                sum += weights[k] = Kernel(filter, (first + k + 0.5 - centre) / stretch);
            }

            taps[i] = new Tap(first, Array.ConvertAll(weights, weight =>
                (int)Math.Round(weight / sum * (1 << FractionBits), MidpointRounding.AwayFromZero)));
        }

        return taps;
    }

    private static double Kernel(ResampleFilter filter, double x) => filter switch
    {
        ResampleFilter.Triangle => Math.Max(0, 1 - Math.Abs(x)),
        _ => Math.Abs(x) < 3 ? Sinc(x) * Sinc(x / 3) : 0,
    };

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(Math.PI * x) / (Math.PI * x);

    private readonly record struct Tap(int First, int[] Weights);
}

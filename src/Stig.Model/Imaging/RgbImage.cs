namespace Stig.Model.Imaging;

/// <summary>An image of 8-bit red, green and blue values, with an optional opacity plane kept apart from the colours.</summary>
/// <remarks>Colours are never multiplied by opacity and never moved between colour spaces: they are the numbers of the
/// file.</remarks>
public sealed class RgbImage
{
    /// <summary>Wraps pixel data without a copy.</summary>
    /// <param name="width">Width in pixels, at least 1.</param>
    /// <param name="height">Height in pixels, at least 1.</param>
    /// <param name="pixels">Height x width x 3 values, row-major, interleaved red, green, blue, 0..255.</param>
    /// <param name="alpha">Height x width opacities, row-major, 0 (transparent) to 255 (opaque), or null where the image is
    /// opaque.</param>
    /// <exception cref="ArgumentException">A side is below 1 or a buffer does not have the length that the sides ask
    /// for.</exception>
    public RgbImage(int width, int height, byte[] pixels, byte[]? alpha = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentNullException.ThrowIfNull(pixels);
        long area = (long)width * height;
        if (pixels.Length != 3 * area)
        {
            throw new ArgumentException($"{width} x {height} pixels need {3 * area} bytes, not {pixels.Length}.", nameof(pixels));
        }

        if (alpha is not null && alpha.Length != area)
        {
            throw new ArgumentException($"{width} x {height} opacities need {area} bytes, not {alpha.Length}.", nameof(alpha));
        }

        (Width, Height, Pixels, Alpha) = (width, height, pixels, alpha);
    }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    /// <summary>Height x width x 3 values, row-major, interleaved red, green, blue, 0..255.</summary>
    public byte[] Pixels { get; }

    /// <summary>Height x width opacities, 0 (transparent) to 255 (opaque), or null where the image is opaque.</summary>
    public byte[]? Alpha { get; }

    /// <summary>Makes an image of intensities: each is held to [0,1], multiplied by 255 and rounded half up.</summary>
    /// <param name="planes">3 x height x width intensities, the red plane first.</param>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="alpha">Opacities to carry over, or null.</param>
    /// <exception cref="ArgumentException">The length is wrong or a value is not a number.</exception>
    public static RgbImage FromPlanar(ReadOnlySpan<float> planes, int width, int height, byte[]? alpha = null)
    {
        int area = checked(width * height);
        if (planes.Length != 3L * area)
        {
            throw new ArgumentException($"3 planes of {width} x {height} need {3L * area} values, not {planes.Length}.", nameof(planes));
        }

        var pixels = new byte[planes.Length];
        for (int channel = 0; channel < 3; channel++)
        {
            ReadOnlySpan<float> plane = planes.Slice(channel * area, area);
            for (int i = 0, o = channel; i < plane.Length; i++, o += 3)
            {
                float value = plane[i];
                if (float.IsNaN(value))
                {
                    throw new ArgumentException($"Channel {channel}, row {i / width}, column {i % width} is not a number.", nameof(planes));
                }

                pixels[o] = (byte)(Math.Clamp(value, 0f, 1f) * 255f + 0.5f);
            }
        }

        return new RgbImage(width, height, pixels, alpha);
    }

    /// <summary>Writes the whole image as intensities v / 255.</summary>
    /// <param name="planes">Receives 3 x <see cref="Height"/> x <see cref="Width"/> intensities in [0,1], the red plane
    /// first.</param>
    /// <exception cref="ArgumentException">The length is wrong.</exception>
    public void ToPlanar(Span<float> planes) => ToPlanar(planes, 0, 0, Width, Height);

    /// <summary>Writes a window of the image as intensities v / 255. Where the window leaves the image, the image is continued by
    /// reflection about its border pixels, which are not repeated (for columns a b c: ... c b a b c b a ...).</summary>
    /// <param name="planes">Receives 3 x <paramref name="height"/> x <paramref name="width"/> intensities in [0,1], the red
    /// plane first.</param>
    /// <param name="x">Column of the window's first pixel; may be negative.</param>
    /// <param name="y">Row of the window's first pixel; may be negative.</param>
    /// <param name="width">The window's width.</param>
    /// <param name="height">The window's height.</param>
    /// <exception cref="ArgumentException">The length is wrong.</exception>
    public void ToPlanar(Span<float> planes, int x, int y, int width, int height)
    {
        int area = checked(width * height);
        if (planes.Length != 3L * area)
        {
            throw new ArgumentException($"3 planes of {width} x {height} need {3L * area} values, not {planes.Length}.", nameof(planes));
        }

        Span<float> red = planes[..area], green = planes.Slice(area, area), blue = planes[(2 * area)..];
        bool inside = x >= 0 && x + width <= Width;
        for (int row = 0; row < height; row++)
        {
            ReadOnlySpan<byte> source = Pixels.AsSpan(3 * Width * Reflect(y + row, Height), 3 * Width);
            int o = row * width;
            for (int column = 0; column < width; column++, o++)
            {
                int i = 3 * (inside ? x + column : Reflect(x + column, Width));
                red[o] = source[i] / 255f;
                green[o] = source[i + 1] / 255f;
                blue[o] = source[i + 2] / 255f;
            }
        }
    }

    /// <summary>The grey value of a pixel: the rounded mean of its channels.</summary>
    internal static byte Grey(byte red, byte green, byte blue) => (byte)((red + green + blue + 1) / 3);

    /// <summary>The image with three equal channels: <see cref="Grey"/> of each pixel. The opacity is shared with this image.</summary>
    internal RgbImage ToGrey()
    {
        var pixels = new byte[Pixels.Length];
        for (int i = 0; i < pixels.Length; i += 3)
        {
            pixels.AsSpan(i, 3).Fill(Grey(Pixels[i], Pixels[i + 1], Pixels[i + 2]));
        }

        return new RgbImage(Width, Height, pixels, Alpha);
    }

    /// <summary>The image continued to the right and downwards by reflection, as in <see cref="ToPlanar(Span{float}, int, int, int, int)"/>;
    /// without opacity. The image itself where it has that size.</summary>
    /// <param name="width">At least the image's width.</param>
    /// <param name="height">At least the image's height.</param>
    internal RgbImage Extend(int width, int height)
    {
        if ((width, height) == (Width, Height))
        {
            return this;
        }

        var pixels = new byte[checked(3 * width * height)];
        for (int row = 0; row < height; row++)
        {
            ReadOnlySpan<byte> source = Pixels.AsSpan(3 * Width * Reflect(row, Height), 3 * Width);
            Span<byte> target = pixels.AsSpan(3 * width * row, 3 * width);
            source.CopyTo(target);
            for (int column = Width; column < width; column++)
            {
                source.Slice(3 * Reflect(column, Width), 3).CopyTo(target[(3 * column)..]);
            }
        }

        return new RgbImage(width, height, pixels);
    }

    /// <summary>The image's upper left part, without opacity; the image itself where it has that size.</summary>
    /// <param name="width">At most the image's width.</param>
    /// <param name="height">At most the image's height.</param>
    internal RgbImage Crop(int width, int height)
    {
        if ((width, height) == (Width, Height))
        {
            return this;
        }

        var pixels = new byte[3 * width * height];
        for (int row = 0; row < height; row++)
        {
            Pixels.AsSpan(3 * Width * row, 3 * width).CopyTo(pixels.AsSpan(3 * width * row));
        }

        return new RgbImage(width, height, pixels);
    }

    private static int Reflect(int index, int length)
    {
        if ((uint)index < (uint)length)
        {
            return index;
        }

        if (length == 1)
        {
            return 0;
        }

        int period = 2 * (length - 1);
        int folded = ((index % period) + period) % period;
        return Math.Min(folded, period - folded);
    }
}

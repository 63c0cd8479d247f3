using Stig.Model.Imaging;

namespace Stig.Model.Reports;

/// <summary>Draws log-magnitude spectra in colour.</summary>
public static class SpectrumImage
{
    // Ten samples, evenly spaced, of the perceptually uniform colour map "viridis" (S. van der Walt, N. Smith, 2015; CC0).
    // Between them colours are interpolated linearly, which is nowhere more than a few of 255 steps away from the original.
    private static readonly (byte Red, byte Green, byte Blue)[] Viridis =
    [
        (0x44, 0x01, 0x54), (0x48, 0x28, 0x78), (0x3E, 0x49, 0x89), (0x31, 0x68, 0x8E), (0x26, 0x82, 0x8E),
        (0x1F, 0x9E, 0x89), (0x35, 0xB7, 0x79), (0x6E, 0xCE, 0x58), (0xB5, 0xDE, 0x2B), (0xFD, 0xE7, 0x25),
    ];

    /// <summary>Colours the mean over channels of a spectrum: dark violet for low, yellow for high values.</summary>
    /// <param name="magnitude">C x height x width log magnitudes, C = 1 or more.</param>
    /// <param name="width">Width in frequencies.</param>
    /// <param name="height">Height in frequencies.</param>
    /// <param name="low">The value of the darkest colour; lower ones, and what is not a number, get it too.</param>
    /// <param name="high">The value of the brightest colour, above <paramref name="low"/>; higher ones get it too.</param>
    /// <exception cref="ArgumentException">The length is no multiple of height x width, or the range is empty.</exception>
    public static RgbImage Draw(ReadOnlySpan<float> magnitude, int width, int height, float low, float high)
    {
        int area = checked(width * height);
        if (area <= 0 || magnitude.Length == 0 || magnitude.Length % area != 0)
        {
            throw new ArgumentException($"{magnitude.Length} values are not planes of {width} x {height}.", nameof(magnitude));
        }

        if (!(high > low))
        {
            throw new ArgumentException($"The range {low} .. {high} is empty.", nameof(high));
        }

        int channels = magnitude.Length / area;
        var pixels = new byte[3 * area];
        for (int i = 0; i < area; i++)
        {
            float sum = 0;
            for (int channel = 0; channel < channels; channel++)
            {
                sum += magnitude[channel * area + i];
            }

            (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]) = Colour((sum / channels - low) / (high - low));
        }

        return new RgbImage(width, height, pixels);
    }

    private static (byte Red, byte Green, byte Blue) Colour(float value)
    {
        float at = value > 0 ? Math.Min(value, 1f) * (Viridis.Length - 1) : 0f;
        int below = Math.Min((int)at, Viridis.Length - 2);
        float t = at - below;
        var (from, to) = (Viridis[below], Viridis[below + 1]);
        return (Mix(from.Red, to.Red, t), Mix(from.Green, to.Green, t), Mix(from.Blue, to.Blue, t));
    }

    private static byte Mix(byte from, byte to, float t) => (byte)(from + t * (to - from) + 0.5f);
}

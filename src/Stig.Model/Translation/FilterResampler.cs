namespace Stig.Model.Translation;

/// <summary>
/// A filter fitted at one size, for images of another (docs/method.md, "Other sizes"). The smooth part is a function of
/// normalised frequency and is interpolated over it. The grid that a generator leaves is periodic in the image: its peaks sit
/// at fixed normalised frequencies but are one or a few bins wide at any size, so they are moved, not stretched.
/// </summary>
internal static class FilterResampler
{
    // Half side of the median window that tells peaks from the smooth part, and of the patch that is moved with a peak.
    private const int MedianRadius = 4;
    private const int PeakRadius = 1;

    // A peak stands out of its neighbourhood by this many times the median deviation there (about six standard deviations).
    private const float PeakThreshold = 9f;

    private const int GridDivisions = 16;
    private const int BlurRadius = 4;

    /// <summary>Resamples a centred filter.</summary>
    /// <param name="filter">[channels, size, size].</param>
    /// <param name="channels">Channels.</param>
    /// <param name="size">Height and width it was fitted at.</param>
    /// <param name="height">Height wanted.</param>
    /// <param name="width">Width wanted.</param>
    /// <returns>[channels, height, width], centred.</returns>
    public static float[] Resample(ReadOnlySpan<float> filter, int channels, int size, int height, int width)
    {
        float[] result = new float[channels * height * width];
        for (int channel = 0; channel < channels; channel++)
        {
            ReadOnlySpan<float> source = filter.Slice(channel * size * size, size * size);
            Span<float> target = result.AsSpan(channel * height * width, height * width);
            (float[] smooth, List<(int Y, int X)> peaks) = Separate(source, size);
            Interpolate(smooth, size, target, height, width);
            MovePeaks(source, smooth, peaks, size, target, height, width);
        }

        return result;
    }

    /// <summary>
    /// Takes the sampling noise out of a filter, in place: a Gaussian of one bin over everything but peaks, and but the multiples of an
    /// eighth of the Nyquist frequency, where generators that double their resolution step by step leave their grid.
    /// </summary>
    /// <param name="filter">[channels, size, size], centred.</param>
    /// <param name="size">Height and width.</param>
    public static void Smooth(Span<float> filter, int size)
    {
        int grid = size % GridDivisions == 0 ? size / GridDivisions : 0;
        for (int start = 0; start < filter.Length; start += size * size)
        {
            Span<float> plane = filter.Slice(start, size * size);
            (float[] smooth, List<(int Y, int X)> peaks) = Separate(plane, size);
            float[] blurred = Blur(smooth, size);
            foreach ((int y, int x) in peaks)
            {
                blurred[(y * size) + x] = plane[(y * size) + x];
            }

            for (int y = 0; grid > 0 && y < size; y += grid)
            {
                for (int x = 0; x < size; x += grid)
                {
                    blurred[(y * size) + x] = plane[(y * size) + x];
                }
            }

            blurred.CopyTo(plane);
        }
    }

    // Gaussian of standard deviation 1, periodic, rows and then columns.
    private static float[] Blur(float[] source, int size)
    {
        double[] taps = [.. Enumerable.Range(-BlurRadius, (2 * BlurRadius) + 1).Select(t => Math.Exp(-0.5 * t * t))];
        double total = taps.Sum();
        float[] Along(float[] from, int stepY, int stepX)
        {
            float[] to = new float[from.Length];
            for (int i = 0; i < to.Length; i++)
            {
                double sum = 0;
                for (int t = 0; t < taps.Length; t++)
                {
                    int offset = t - BlurRadius;
                    sum += taps[t] * from[(Wrap((i / size) + (offset * stepY), size) * size) + Wrap((i % size) + (offset * stepX), size)];
                }

                to[i] = (float)(sum / total);
            }

            return to;
        }

        return Along(Along(source, 0, 1), 1, 0);
    }

    // The smooth part: the filter with every peak replaced by the median around it.
    private static (float[] Smooth, List<(int Y, int X)> Peaks) Separate(ReadOnlySpan<float> filter, int size)
    {
        float[] smooth = filter.ToArray();
        List<(int Y, int X)> peaks = [];
        Span<float> window = stackalloc float[((2 * MedianRadius) + 1) * ((2 * MedianRadius) + 1)];
        for (int y = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++)
            {
                // Spectra are periodic, so the window wraps.
                int count = 0;
                for (int dy = -MedianRadius; dy <= MedianRadius; dy++)
                {
                    for (int dx = -MedianRadius; dx <= MedianRadius; dx++)
                    {
                        window[count++] = filter[(Wrap(y + dy, size) * size) + Wrap(x + dx, size)];
                    }
                }

                window.Sort();
                float median = window[count / 2];
                for (int i = 0; i < count; i++)
                {
                    window[i] = Math.Abs(window[i] - median);
                }

                window.Sort();
                float deviation = window[count / 2];
                if (Math.Abs(filter[(y * size) + x] - median) > PeakThreshold * deviation && deviation > 0)
                {
                    peaks.Add((y, x));
                    smooth[(y * size) + x] = median;
                }
            }
        }

        return (smooth, peaks);
    }

    // Bilinear over normalised frequency, periodic.
    private static void Interpolate(ReadOnlySpan<float> source, int size, Span<float> target, int height, int width)
    {
        for (int y = 0; y < height; y++)
        {
            (int y0, float fy) = Locate(y, height, size);
            for (int x = 0; x < width; x++)
            {
                (int x0, float fx) = Locate(x, width, size);
                int y1 = Wrap(y0 + 1, size);
                int x1 = Wrap(x0 + 1, size);
                float top = ((1 - fx) * source[(y0 * size) + x0]) + (fx * source[(y0 * size) + x1]);
                float bottom = ((1 - fx) * source[(y1 * size) + x0]) + (fx * source[(y1 * size) + x1]);
                target[(y * width) + x] = ((1 - fy) * top) + (fy * bottom);
            }
        }
    }

    // Each peak goes to the bin nearest to its normalised frequency, with the height by which it stands out. Neighbouring
    // peak bins keep their distance in bins to the strongest of them, so that a peak two bins wide stays two bins wide.
    private static void MovePeaks(
        ReadOnlySpan<float> filter, float[] smooth, List<(int Y, int X)> peaks, int size, Span<float> target, int height, int width)
    {
        var excess = new Dictionary<(int Y, int X), float>();
        foreach ((int y, int x) in peaks)
        {
            excess[(y, x)] = filter[(y * size) + x] - smooth[(y * size) + x];
        }

        var written = new HashSet<(int Y, int X)>();
        foreach (((int y, int x), float height0) in excess)
        {
            (int Y, int X) centre = (y, x);
            float strongest = Math.Abs(height0);
            for (int dy = -PeakRadius; dy <= PeakRadius; dy++)
            {
                for (int dx = -PeakRadius; dx <= PeakRadius; dx++)
                {
                    (int Y, int X) neighbour = (Wrap(y + dy, size), Wrap(x + dx, size));
                    if (excess.TryGetValue(neighbour, out float value) && Math.Abs(value) > strongest)
                    {
                        strongest = Math.Abs(value);
                        centre = (y + dy, x + dx);
                    }
                }
            }

            int targetY = Wrap(Nearest(centre.Y, size, height) + (y - centre.Y), height);
            int targetX = Wrap(Nearest(centre.X, size, width) + (x - centre.X), width);
            if (written.Add((targetY, targetX)))
            {
                target[(targetY * width) + targetX] += height0;
            }
        }
    }

    // Position in the source, as a bin and a fraction, of bin i of n.
    private static (int Bin, float Fraction) Locate(int i, int n, int size)
    {
        double position = ((i - (n / 2)) * (double)size / n) + (size / 2);
        double floor = Math.Floor(position);
        return (Wrap((int)floor, size), (float)(position - floor));
    }

    private static int Nearest(int bin, int size, int n) => (int)Math.Round((bin - (size / 2)) * (double)n / size) + (n / 2);

    private static int Wrap(int index, int n) => ((index % n) + n) % n;
}

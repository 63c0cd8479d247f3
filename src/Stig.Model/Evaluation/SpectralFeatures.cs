namespace Stig.Model.Evaluation;

/// <summary>What one image's spectrum says of bands of frequencies and of the grid peaks of up-sampling, both from unscaled
/// log magnitudes.</summary>
/// <param name="Bands">
/// Channel-mean log magnitude averaged over square rings r = max(|y - H/2|, |x - W/2|): ring k has <c>edges[k]</c> &lt;= r &lt;
/// <c>edges[k + 1]</c>, edges as <see cref="BandEdges"/> gives them.
/// </param>
/// <param name="Peaks">
/// Channel-mean log magnitude at each of the 63 frequencies that are multiples of H/8 and W/8, zero frequency excepted, less
/// the median of its 9 x 9 neighbourhood, which is clipped at the border. Row by row.
/// </param>
public sealed record SpectralFeatures(IReadOnlyList<double> Bands, IReadOnlyList<double> Peaks)
{
    private const int GridSteps = 8;
    private const int Neighbourhood = 4;
    private const int SmallestSide = 16;

    /// <summary>
    /// Edges of the bands for a side of S: 0, 1, 2, 4, 6, 8, 12, then every 8 from 16 to S/2 - 8, and S/2 + 1 (at 256: ...,
    /// 112, 120, 129). Widths are in frequency bins at every size, so a smaller spectrum has fewer bands. Of a spectrum that
    /// is not square, the longer side counts.
    /// </summary>
    /// <param name="side">S, at least 16.</param>
    /// <exception cref="ArgumentOutOfRangeException">The side is below 16.</exception>
    public static IReadOnlyList<int> BandEdges(int side)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(side, SmallestSide);
        int half = side / 2;
        IEnumerable<int> inner = ((int[])[1, 2, 4, 6, 8, 12]).Concat(Enumerable.Range(2, half / 8).Select(k => 8 * k));
        return [0, .. inner.Where(edge => edge <= half - 8), half + 1];
    }

    /// <summary>The features of a spectrum.</summary>
    /// <param name="logMagnitude">M = ln(1 + |F|), [C, H, W], zero frequency at row H/2, column W/2.</param>
    /// <param name="extents">Its extents; height and width at least 16. Where they are no multiples of 8, the nearest
    /// frequencies are taken.</param>
    /// <exception cref="ArgumentException">The length is wrong.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Height or width is below 16.</exception>
    public static SpectralFeatures Of(ReadOnlySpan<float> logMagnitude, ImageExtents extents)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Math.Min(extents.Height, extents.Width), SmallestSide, nameof(extents));
        extents.CheckLength(logMagnitude, nameof(logMagnitude));
        double[] mean = new double[extents.Area];
        for (int i = 0; i < logMagnitude.Length; i++)
        {
            mean[i % extents.Area] += (double)logMagnitude[i] / extents.Channels;
        }

        return new SpectralFeatures(BandsOf(mean, extents), PeaksOf(mean, extents));
    }

    private static double[] BandsOf(double[] mean, ImageExtents extents)
    {
        (int height, int width) = (extents.Height, extents.Width);
        IReadOnlyList<int> edges = BandEdges(Math.Max(height, width));
        int[] bandOfRing = [.. Enumerable.Range(0, edges[^1]).Select(ring => edges.Count(edge => edge <= ring) - 1)];
        double[] sums = new double[edges.Count - 1];
        int[] counts = new int[sums.Length];
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                int band = bandOfRing[Math.Max(Math.Abs(y - (height / 2)), Math.Abs(x - (width / 2)))];
                sums[band] += mean[(y * width) + x];
                counts[band]++;
            }
        }

        return [.. sums.Zip(counts, (sum, count) => sum / count)];
    }

    private static double[] PeaksOf(double[] mean, ImageExtents extents)
    {
        List<double> peaks = [];
        for (int i = -GridSteps / 2; i < GridSteps / 2; i++)
        {
            for (int j = -GridSteps / 2; j < GridSteps / 2; j++)
            {
                if ((i, j) != (0, 0))
                {
                    (int y, int x) = (GridPosition(i, extents.Height), GridPosition(j, extents.Width));
                    peaks.Add(mean[(y * extents.Width) + x] - MedianAround(mean, extents, y, x));
                }
            }
        }

        return [.. peaks];
    }

    private static int GridPosition(int step, int side) => (side / 2) + (int)Math.Floor(((double)step * side / GridSteps) + 0.5);

    private static double MedianAround(double[] mean, ImageExtents extents, int y, int x)
    {
        List<double> values = [];
        for (int row = Math.Max(0, y - Neighbourhood); row <= Math.Min(extents.Height - 1, y + Neighbourhood); row++)
        {
            for (int column = Math.Max(0, x - Neighbourhood); column <= Math.Min(extents.Width - 1, x + Neighbourhood); column++)
            {
                values.Add(mean[(row * extents.Width) + column]);
            }
        }

        values.Sort();
        return (values[(values.Count - 1) / 2] + values[values.Count / 2]) / 2;
    }
}

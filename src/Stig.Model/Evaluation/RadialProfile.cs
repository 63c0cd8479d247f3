namespace Stig.Model.Evaluation;

/// <summary>The mean spectrum of a set of images as a curve over frequency, for plots.</summary>
public static class RadialProfile
{
    /// <summary>
    /// Mean over channels and circles of the mean log magnitude: entry r covers the frequencies f with r &lt;= S |f| &lt; r +
    /// 1, f in cycles per pixel, S the longer side; of a square spectrum, the bins at distance r from zero frequency.
    /// </summary>
    /// <param name="statistics">The images, at least one.</param>
    /// <returns>Means by ring, from zero frequency to the corners, dimensionless.</returns>
    /// <exception cref="InvalidOperationException">There is no image.</exception>
    public static float[] Of(SpectrumStatistics statistics)
    {
        ArgumentNullException.ThrowIfNull(statistics);
        double[] mean = statistics.MeanLogMagnitude();
        (int height, int width) = (statistics.Extents.Height, statistics.Extents.Width);
        int side = Math.Max(height, width);
        int Ring(int y, int x) =>
            (int)Math.Sqrt(Square((double)(y - (height / 2)) * side / height) + Square((double)(x - (width / 2)) * side / width));

        // The first bin is as far from zero frequency as any.
        double[] sums = new double[Ring(0, 0) + 1];
        int[] counts = new int[sums.Length];
        for (int i = 0; i < mean.Length; i++)
        {
            int ring = Ring(i / width % height, i % width);
            sums[ring] += mean[i];
            counts[ring]++;
        }

        // Along the longer side the distance grows by at most one a bin, so no ring is empty.
        return [.. sums.Zip(counts, (sum, count) => (float)(sum / count))];
    }

    private static double Square(double value) => value * value;
}

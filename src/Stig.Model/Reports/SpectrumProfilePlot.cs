namespace Stig.Model.Reports;

/// <summary>Plots ring profiles of spectra against frequency.</summary>
public static class SpectrumProfilePlot
{
    /// <summary>Draws the profiles and writes them as a PNG file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="title">Written above the plot.</param>
    /// <param name="profiles">The profiles: abscissas are frequencies in cycles per pixel, 0 (the mean) to 0.5 (Nyquist) or
    /// 0.71 (the corners), as <see cref="Profile"/> makes them; ordinates are mean log magnitudes ln(1 + |F|).</param>
    /// <param name="width">Width in pixels, at least 200.</param>
    /// <param name="height">Height in pixels, at least 150.</param>
    /// <exception cref="ArgumentException">A profile is empty or its lengths differ.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, string title, IReadOnlyList<PlotSeries> profiles, int width = 900, int height = 560) =>
        LinePlot.Save(path, title, "frequency (cycles per pixel)", "mean log magnitude, ln(1 + |F|)", profiles, width, height);

    /// <summary>A profile whose entry r belongs to the ring at r frequency steps from the centre of a spectrum of an image of
    /// side <paramref name="size"/>, that is, at r / size cycles per pixel.</summary>
    /// <param name="name">Its name in the legend.</param>
    /// <param name="rings">Mean log magnitude by ring.</param>
    /// <param name="size">The image's side in pixels, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is below 1.</exception>
    public static PlotSeries Profile(string name, ReadOnlySpan<float> rings, int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        var x = new double[rings.Length];
        var y = new double[rings.Length];
        for (int ring = 0; ring < rings.Length; ring++)
        {
            (x[ring], y[ring]) = ((double)ring / size, rings[ring]);
        }

        return new PlotSeries(name, x, y);
    }
}

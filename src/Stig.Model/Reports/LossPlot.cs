namespace Stig.Model.Reports;

/// <summary>Plots losses against training steps.</summary>
public static class LossPlot
{
    /// <summary>Draws the losses and writes them as a PNG file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="title">Written above the plot.</param>
    /// <param name="losses">The losses: abscissas are steps.</param>
    /// <param name="width">Width in pixels, at least 200.</param>
    /// <param name="height">Height in pixels, at least 150.</param>
    /// <exception cref="ArgumentException">A series is empty or its lengths differ.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, string title, IReadOnlyList<PlotSeries> losses, int width = 900, int height = 560) =>
        LinePlot.Save(path, title, "step", "loss", losses, width, height);
}

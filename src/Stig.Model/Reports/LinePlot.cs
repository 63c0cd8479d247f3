using ScottPlot;
using Stig.Model.Imaging;

namespace Stig.Model.Reports;

/// <summary>A named curve.</summary>
/// <param name="Name">Its name in the legend.</param>
/// <param name="X">Abscissas.</param>
/// <param name="Y">Ordinates, as many.</param>
public sealed record PlotSeries(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y);

/// <summary>Draws curves to a PNG file.</summary>
internal static class LinePlot
{
    // The palette of M. Okabe and K. Ito (2008), which colour-blind readers can tell apart.
    private static readonly string[] Colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

    // A second and third mark beside colour, for readers without colour.
    private static readonly LinePattern[] Patterns = [LinePattern.Solid, LinePattern.Dashed, LinePattern.Dotted];

    public static void Save(string path, string title, string xLabel, string yLabel, IReadOnlyList<PlotSeries> series,
                            int width, int height)
    {
        ArgumentNullException.ThrowIfNull(series);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 200);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 150);
        if (series.FirstOrDefault(curve => curve.X.Count != curve.Y.Count || curve.X.Count == 0) is { } wrong)
        {
            throw new ArgumentException($"The series {wrong.Name} has {wrong.X.Count} abscissas and {wrong.Y.Count} ordinates.",
                                        nameof(series));
        }

        ReportFont.EnsureForPlots();
        using var plot = new Plot();
        for (int i = 0; i < series.Count; i++)
        {
            ScottPlot.Plottables.Scatter line = plot.Add.ScatterLine(series[i].X.ToArray(), series[i].Y.ToArray());
            line.LegendText = series[i].Name;
            line.Color = Color.FromHex(Colours[i % Colours.Length]);
            line.LineWidth = 2;
            line.LinePattern = Patterns[i % Patterns.Length];
        }

        plot.Title(title, 18);
        plot.XLabel(xLabel, 14);
        plot.YLabel(yLabel, 14);
        plot.ShowLegend(Alignment.UpperRight);
        plot.Legend.FontSize = 13;
        plot.Legend.SymbolWidth = 36;
        plot.Axes.Margins(0.02, 0.05);
        plot.Font.Set(ReportFont.Family);
        plot.Legend.FontName = ReportFont.Family;
        AtomicFile.Write(path, plot.GetImageBytes(width, height, ScottPlot.ImageFormat.Png));
    }
}

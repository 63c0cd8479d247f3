using SkiaSharp;

namespace Stig.Model.Reports;

/// <summary>The font of all report images: DejaVu Sans, carried in the assembly, because the Skia build in use knows no system
/// fonts and draws text without a font as nothing.</summary>
internal static class ReportFont
{
    /// <summary>The family name that plots ask for.</summary>
    public const string Family = "DejaVu Sans";

    private static readonly Lazy<SKTypeface> LoadedTypeface = new(Load);
    private static readonly Lazy<bool> AddedToPlots = new(AddToPlots);

    /// <summary>The typeface.</summary>
    public static SKTypeface Typeface => LoadedTypeface.Value;

    /// <summary>Makes the font known to ScottPlot under <see cref="Family"/>, once; its defaults are left alone.</summary>
    public static void EnsureForPlots() => _ = AddedToPlots.Value;

    private static SKTypeface Load()
    {
        const string Resource = "Stig.Model.Reports.Fonts.DejaVuSans.ttf";
        using Stream stream = typeof(ReportFont).Assembly.GetManifestResourceStream(Resource)
            ?? throw new InvalidOperationException($"The assembly lacks its resource {Resource}; build it again.");
        return SKTypeface.FromStream(stream) ?? throw new InvalidOperationException($"The resource {Resource} is not a font; build again.");
    }

    private static bool AddToPlots()
    {
        ScottPlot.Fonts.FontResolvers.Insert(0, new Resolver());
        return true;
    }

    private sealed class Resolver : ScottPlot.IFontResolver
    {
        // The interface asks for a new instance at each call: what is handed over belongs to ScottPlot.
        public SKTypeface? CreateTypeface(string fontName, ScottPlot.FontWeight weight, ScottPlot.FontSlant slant,
                                          ScottPlot.FontSpacing spacing) => fontName == Family ? Load() : null;

        public SKTypeface? CreateTypeface(string fontName, bool bold, bool italic) => fontName == Family ? Load() : null;
    }
}

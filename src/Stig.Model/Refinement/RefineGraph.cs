using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Model.Translation;

namespace Stig.Model.Refinement;

/// <summary>The graph from images to refined images, each image as if it were alone.</summary>
internal static class RefineGraph
{
    /// <summary>Adds analysis, translation, synthesis and range to a graph.</summary>
    /// <param name="graph">Graph to add to.</param>
    /// <param name="architecture">How the model computes.</param>
    /// <param name="images">[N, 3, H, W] in [0, 1]; H and W multiples of <see cref="ModelArchitecture.SizeMultiple"/>.</param>
    /// <param name="range">How the result is brought into [0, 1].</param>
    /// <returns>[N, 3, H, W] in [0, 1].</returns>
    public static Value Build(Graph graph, ModelArchitecture architecture, Value images, OutputRange range) =>
        Build(graph, architecture, images, range, out _);

    /// <summary>As above; also gives the result before it is brought into [0, 1], where what is not finite still shows.</summary>
    public static Value Build(Graph graph, ModelArchitecture architecture, Value images, OutputRange range, out Value unlimited)
    {
        var translator = new Translator(architecture, eachAlone: true);
        Spectrum spectrum = translator.Analyze(graph, images);
        unlimited = translator.Synthesize(graph, translator.Translate(graph, false, spectrum)[0].Magnitude, spectrum.Phasor);
        return range == OutputRange.Stretch ? graph.RangeNormalize(unlimited, perImage: true).Normalized : graph.UnitClamp(unlimited);
    }
}

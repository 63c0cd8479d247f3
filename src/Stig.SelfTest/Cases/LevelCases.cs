using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Levels of spectra and their spreading.</summary>
internal static class LevelCases
{
    private static readonly Bound Mean = new(
        32 * Bound.Rounding, 32 * Bound.Rounding, "a weighted mean of up to a thousand values, accumulated better than in plain float32");

    private static readonly Bound Interpolation = new(
        16 * Bound.Rounding, 16 * Bound.Rounding, "positions and weights are float32, then two interpolations");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. from sizes in new[] { (4, 4, 1), (4, 4, 2), (16, 16, 4), (33, 47, 5), (96, 80, 24), (49, 128, 24) }
           select Levels(new Shape(2, 3, sizes.Item1, sizes.Item2), sizes.Item3),
        .. from sizes in new[] { (4, 4, 1, 0f), (4, 4, 2, 1f), (16, 16, 4, 3f), (33, 47, 5, 2.5f), (96, 80, 24, 8f), (49, 128, 24, 8f) }
           select Spread(new Shape(2, 3, sizes.Item3, sizes.Item3), sizes.Item1, sizes.Item2, sizes.Item4),
        Constant(),
    ];

    private static OperationCase Levels(Shape shape, int grid) => new()
    {
        Name = $"spectral_levels/{grid} nodes of {shape}",
        Inputs = [CaseInput.Constant("spectrum", shape, Fills.Normal(1, 3))],
        Build = (graph, x) => [graph.SpectralLevels(x[0], grid)],
        Oracle = x => [LevelOracles.Levels(x[0], grid)],
        Outputs = [new("levels", Mean)],
        PerImage = true,
    };

    private static OperationCase Spread(Shape shape, int height, int width, float radius) => new()
    {
        Name = $"spread_levels/{shape.H} nodes over {height}x{width}, radius {radius}",
        Inputs = [CaseInput.Constant("levels", shape, Fills.Normal())],
        Build = (graph, x) => [graph.SpreadLevels(x[0], height, width, radius)],
        Oracle = x => [LevelOracles.Spread(x[0], height, width, radius)],
        Outputs = [new("spectrum", Interpolation)],
        PerImage = true,
    };

    // Weights add up to one: the levels of a constant are that constant.
    private static OperationCase Constant() => new()
    {
        Name = "spectral_levels/of a constant spread",
        Inputs = [CaseInput.Constant("levels", new Shape(1, 3, 6, 6), Fills.Same(2.5))],
        Build = (graph, x) => [graph.SpectralLevels(graph.SpreadLevels(x[0], 50, 64, 0), 6)],
        Oracle = x => [LevelOracles.WithoutZeroFrequency(2.5, 6, 50, 64)],
        Outputs = [new("levels", Mean)],
    };
}

using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// Levels of a centred spectrum (docs/method.md, "Levels"): its mean at the nodes of a coarse grid over |normalised frequency|, the
/// same for all four quadrants; node k of <paramref name="Grid"/> stands at (k + 1/2)/Grid of the Nyquist frequency, and weights are those of
/// bilinear interpolation. Input [N, C, H, W], H and W at least twice the grid; output [N, C, Grid, Grid]. It has no gradient: levels
/// are read off inputs.
/// </summary>
internal sealed record SpectralLevels(int Grid) : Operation
{
    public override string Name => "spectral_levels";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && inputs[0].Type.Layout == TensorLayout.Plain && src.H >= 2 * Grid && src.W >= 2 * Grid, inputs,
            $"planar spectra, at least {2 * Grid} x {2 * Grid}");
        return [TensorType.Float(src.N, src.C, Grid, Grid)];
    }
}

/// <summary>
/// The grid of <see cref="SpectralLevels"/> interpolated over a spectrum of the given extents, 0 within
/// <paramref name="ProtectedRadius"/> bins of zero frequency. It has no gradient: what is spread is fitted, not trained.
/// </summary>
internal sealed record SpreadLevels(int Height, int Width, float ProtectedRadius) : Operation
{
    public override string Name => "spread_levels";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && inputs[0].Type.Layout == TensorLayout.Plain && Height >= 2 * src.H && Width >= 2 * src.W, inputs,
            $"a grid of at most {Height / 2} x {Width / 2} nodes");
        return [TensorType.Float(src.N, src.C, Height, Width)];
    }
}

internal static class LevelsExtensions
{
    public static Value SpectralLevels(this Graph graph, Value spectrum, int grid) => graph.ApplySingle(new SpectralLevels(grid), spectrum);

    public static Value SpreadLevels(this Graph graph, Value levels, int height, int width, float protectedRadius) =>
        graph.ApplySingle(new SpreadLevels(height, width, protectedRadius), levels);
}

using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Translation;

/// <summary>
/// The closed form's second part (docs/method.md, "Levels"): each image's spectral levels, mean log magnitudes on a coarse grid of
/// frequencies, are moved by an affine map so that over all fakes they have the mean and the spread of real images. A filter alone moves
/// every image by the same amount. Fitted by <see cref="LevelFitter"/>.
/// </summary>
internal static class LevelTransport
{
    /// <summary>The largest change of a level, in nats: images unlike those of the fit stay near what they are.</summary>
    public const float Limit = 4;

    /// <summary>Name of the constant part of the map, [3, grid, grid].</summary>
    public const string OffsetName = "levels.offset";

    private const int MaxGrid = 24;
    private const int Channels = 3;

    /// <summary>
    /// Nodes of the grid along each axis, from zero frequency to Nyquist, of a model trained at a size. It takes images of at least
    /// twice as many pixels along each axis.
    /// </summary>
    public static int GridOf(int size) => Math.Min(MaxGrid, size / 2);

    /// <summary>
    /// Name of a part of the map's matrix, [3, grid, grid]: the weight at (c, y, x) with which the level of channel (c - k) mod 3
    /// enters the change of channel c.
    /// </summary>
    public static string MixingName(int k) => $"levels.mixing.{k}";

    /// <summary>The map's tensors.</summary>
    public static IEnumerable<ParameterSpec> Parameters(int grid)
    {
        var shape = new Shape(Channels, grid, grid);
        yield return new ParameterSpec(OffsetName, shape, Initializer.Zero, Trained: false);
        for (int k = 0; k < Channels; k++)
        {
            yield return new ParameterSpec(MixingName(k), shape, Initializer.Zero, Trained: false);
        }
    }

    /// <summary>
    /// Levels of log magnitudes [N, 3, H, W], less ln sqrt(H W): the magnitudes of noise grow with the root of the number of pixels,
    /// so that a map fitted at one size holds at others.
    /// </summary>
    public static Value Levels(Graph graph, Value magnitude, int grid) => graph.Affine(
        graph.SpectralLevels(magnitude, grid), 1f, -0.5f * MathF.Log((float)magnitude.Shape.H * magnitude.Shape.W));

    /// <summary>The change of log magnitudes, [N, 3, H, W], that moves the given levels.</summary>
    /// <param name="graph">Graph to add to.</param>
    /// <param name="levels">[N, 3, grid, grid].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="protectedRadius">Radius in bins of the disc that stays.</param>
    public static Value Change(Graph graph, Value levels, int height, int width, float protectedRadius)
    {
        var shape = new Shape(Channels, levels.Shape.H, levels.Shape.W);
        Value change = graph.Multiply(levels, graph.Parameter(MixingName(0), shape));
        for (int k = 1; k < Channels; k++)
        {
            change = graph.Add(change, graph.Multiply(graph.Roll(levels, 0, k), graph.Parameter(MixingName(k), shape)));
        }

        change = graph.Add(change, graph.Parameter(OffsetName, shape));

        // Limit tanh(change / Limit)
        Value limited = graph.Affine(graph.SymmetricSigmoid(graph.Affine(change, 2 / Limit)), Limit);
        return graph.SpreadLevels(limited, height, width, protectedRadius);
    }
}

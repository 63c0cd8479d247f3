using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>
/// Normalisation, its inference form and its running statistics. With an activation, inputs alternate in sign and beta is small, so that no
/// normalised value comes near the kink.
/// </summary>
internal static class NormalizationCases
{
    private const float Epsilon = 1e-5f;

    private static readonly Bound Statistics =
        new(16 * Bound.Rounding, 32 * Bound.Rounding, "sums over at most a few thousand pixels, better than plain float32 accumulation");

    private static readonly Bound Gradients =
        new(64 * Bound.Rounding, 256 * Bound.Rounding, "sums over pixels that partly cancel, then a handful of float32 roundings");

    private static readonly Bound Means =
        new(4e-5, 4e-5, "values of order one have means of order 0.03: the rounding of a float32 sum is relative to the values");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. from statistics in new[] { NormalizationStatistics.Batch, NormalizationStatistics.PerImage }
           from affine in new[] { true, false }
           from slope in new[] { 1f, 0.2f, 0f }
           from shape in new[] { new Shape(2, 3, 5, 7), new Shape(3, 16, 5, 9) }
           select Normalization(statistics, affine, slope, shape),
        Normalization(NormalizationStatistics.Batch, true, 0, new Shape(1, 48, 9, 7)),
        Normalization(NormalizationStatistics.PerImage, true, 0, new Shape(2, 8, 33, 47)),
        Normalization(NormalizationStatistics.PerImage, false, 0.2f, new Shape(2, 1, 33, 47)),
        Normalization(NormalizationStatistics.Batch, true, 0.2f, new Shape(2, 13, 9, 7)),
        Normalization(NormalizationStatistics.PerImage, true, 0, new Shape(3, 5, 7, 9)),
        Normalization(NormalizationStatistics.PerImage, false, 1, new Shape(2, 29, 33, 35)),
        LargeMean(),
        Running("planar", new Shape(2, 3, 5, 7), 0.2f),
        Running("feature map", new Shape(2, 16, 33, 47), 0),
        Running("feature map, no activation", new Shape(3, 48, 5, 7), 1),
        Running("feature map of 13 channels", new Shape(2, 13, 5, 7), 0.2f),
        RunningStatistics(1, 3, 70),
        RunningStatistics(3, 48, 35),
    ];

    private static OperationCase Normalization(NormalizationStatistics statistics, bool affine, float slope, Shape shape)
    {
        InputFill fill = slope == 1 ? Fills.Normal(2, 0.5) : Fills.Alternating;
        return new OperationCase
        {
            Name = $"normalization/{(statistics == NormalizationStatistics.Batch ? "batch" : "per image")}, "
                + $"{(affine ? "affine" : "plain")}, slope {slope}, {shape}",
            Inputs =
            [
                CaseInput.Variable("src", shape, fill),
                .. affine ? [Gamma(shape), Beta(shape)] : Array.Empty<CaseInput>(),
            ],
            Build = (graph, x) =>
                [.. graph.Normalization(Layout(graph, x[0]), affine ? x[1] : null, affine ? x[2] : null, statistics, Epsilon, slope)],
            Oracle = x => NormalizationOracles.Normalization(x[0], affine ? x[1] : null, affine ? x[2] : null, statistics, Epsilon, slope),
            Outputs = [new("dst", Statistics), new("mean", Means, Sensitivity: 5), new("variance", Statistics)],
            Gradient = Gradients,
            PerImage = statistics == NormalizationStatistics.PerImage && shape.N > 1,
        };
    }

    // A mean a thousand times the deviation: the variance must not come from the difference of two large sums.
    private static OperationCase LargeMean() => new()
    {
        Name = "normalization/mean a thousand times the deviation",
        Inputs = [CaseInput.Constant("src", new Shape(2, 16, 9, 11), Fills.Normal(1, 1000))],
        Build = (graph, x) => [.. graph.Normalization(Layout(graph, x[0]), null, null, NormalizationStatistics.PerImage, Epsilon, 1)],
        Oracle = x => NormalizationOracles.Normalization(x[0], null, null, NormalizationStatistics.PerImage, Epsilon, 1),
        Outputs =
        [
            new("dst", new Bound(1e-4, 2e-4, "a mean of 1000 rounded to float32 is off by 3e-5 deviations")),
            new("mean", Statistics),
            new("variance", new Bound(1e-5, 1e-5, "deviations are exact to 6e-5 when taken from a rounded mean")),
        ],
        PerImage = true,
        NeedsFloat32Features = true,
    };

    private static OperationCase Running(string what, Shape shape, float slope) => new()
    {
        Name = $"normalization_running/{what}, slope {slope}",
        Inputs =
        [
            CaseInput.Constant("src", shape, Fills.Normal()),
            Gamma(shape),
            Beta(shape),
            CaseInput.State("mean", new Shape(shape.C), Fills.Normal()),
            CaseInput.State("variance", new Shape(shape.C), Fills.Uniform(0.2, 2)),
        ],
        Build = (graph, x) => [graph.ApplySingle(new RunningNormalization(Epsilon, slope), Layout(graph, x[0]), x[1], x[2], x[3], x[4])],
        Oracle = x => [NormalizationOracles.RunningNormalization(x[0], x[1], x[2], x[3], x[4], Epsilon, slope)],
        Outputs = [new("dst", Bound.Elementwise)],
        PerImage = true,
        NeedsFloat32Features = true,
    };

    private static OperationCase RunningStatistics(int groups, int channels, int count) => new()
    {
        Name = $"running_statistics/{groups} rows, {channels} channels",
        Inputs =
        [
            CaseInput.Constant("mean", new Shape(groups, channels), Fills.Normal()),
            CaseInput.Constant("variance", new Shape(groups, channels), Fills.Uniform(0.2, 2)),
            CaseInput.State("running mean", new Shape(channels), Fills.Normal()),
            CaseInput.State("running variance", new Shape(channels), Fills.Uniform(0.2, 2)),
        ],
        Build = (graph, x) => [.. graph.Apply(new RunningStatistics(count, 0.1f), x)],
        Oracle = x => NormalizationOracles.RunningStatistics(x[0], x[1], x[2], x[3], count, 0.1f),
        Outputs = [new("running mean", Bound.Elementwise), new("running variance", Bound.Elementwise)],
    };

    private static CaseInput Gamma(Shape shape) => CaseInput.Weights("gamma", new Shape(shape.C), Fills.Uniform(0.5, 1.5));

    private static CaseInput Beta(Shape shape) => CaseInput.Weights("beta", new Shape(shape.C), Fills.Uniform(-0.1, 0.1));

    private static Value Layout(Graph graph, Value x) => x.Shape.C > 3 ? graph.AsFeatures(x) : x;
}

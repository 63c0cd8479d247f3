using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Neighbouring operations that an executor may carry out in one pass.</summary>
internal static class ChainCases
{
    private static readonly (string What, Shape A, Shape B, bool Features)[] Sums =
    [
        ("planar, odd size", new Shape(2, 3, 33, 47), new Shape(2, 3, 33, 47), false),
        ("planar, whole vectors", new Shape(2, 3, 6, 8), new Shape(2, 3, 6, 8), false),
        ("planar, one image without batch axis", new Shape(2, 3, 5, 7), new Shape(3, 5, 7), false),
        ("planar, one image for all", new Shape(3, 3, 4, 12), new Shape(1, 3, 4, 12), false),
        ("feature map", new Shape(2, 16, 5, 7), new Shape(2, 16, 5, 7), true),
        ("feature map, odd channels", new Shape(2, 3, 5, 7), new Shape(2, 3, 5, 7), true),
    ];

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. Sums.Select(sum => Sum("add, leaky ReLU", sum, (graph, a, b) => graph.LeakyRelu(graph.Add(a, b), 0.2f),
            (a, b) => ElementwiseOracles.LeakyRelu(a + b, 0.2f))),
        .. Sums.Select(sum => Sum("affine, add, ReLU", sum, (graph, a, b) => graph.Relu(graph.Add(graph.Affine(a, -1.5f, 0.25f), b)),
            (a, b) => Math.Max(0, (-1.5 * a) + 0.25 + b))),
        .. Sums.Select(sum => Sum("sigmoid, add", sum, (graph, a, b) => graph.Add(graph.Sigmoid(a), b), (a, b) => ElementwiseOracles.Sigmoid(a) + b)),
        .. Sums.Select(sum => Sum("symmetric sigmoid, affine, add, ReLU", sum,
            (graph, a, b) => graph.Relu(graph.Add(graph.Affine(graph.SymmetricSigmoid(a), 2.5f), b)),
            (a, b) => Math.Max(0, (2.5 * ElementwiseOracles.SymmetricSigmoid(a)) + b))),
        Residual(3),
        Residual(16),
        ReadTwice(),
        .. from perImage in new[] { true, false }
           from channels in new[] { 1, 2, 3, 5, 6, 7, 8 }
           select Normalized(perImage, channels),
        .. from rounding in new[] { PixelRounding.Nearest, PixelRounding.Down }
           select Clamped(rounding),
    ];

    private static OperationCase Sum(
        string what, (string What, Shape A, Shape B, bool Features) sum, Func<Graph, Value, Value, Value> apply, Func<double, double, double> function) => new()
        {
            Name = $"{what}/{sum.What}",
            Inputs = [CaseInput.Constant("a", sum.A, Fills.Normal()), CaseInput.Constant("b", sum.B, Fills.Normal())],
            Build = (graph, x) => [apply(graph, sum.Features ? graph.AsFeatures(x[0]) : x[0], sum.Features ? graph.AsFeatures(x[1]) : x[1])],
            Oracle = x => [ElementwiseOracles.Combine(x[0], x[1], function)],
            Outputs = [new("dst", Bound.Transcendental)],
            PerImage = true,
        };

    // As a network's output becomes a change of a spectrum: a function of a feature map, wanted plain, scaled and added.
    private static OperationCase Residual(int channels) => new()
    {
        Name = $"symmetric sigmoid, relayout, affine, add, ReLU/{channels} channels",
        Inputs =
        [
            CaseInput.Constant("map", new Shape(2, channels, 5, 7), Fills.Normal()),
            CaseInput.Constant("plain", new Shape(2, channels, 5, 7), Fills.Normal()),
        ],
        Build = (graph, x) => [graph.Relu(graph.Add(graph.Affine(graph.AsPlain(graph.SymmetricSigmoid(graph.AsFeatures(x[0]))), 1.5f), x[1]))],
        Oracle = x => [ElementwiseOracles.Combine(x[0], x[1], (a, b) => Math.Max(0, (1.5 * ElementwiseOracles.SymmetricSigmoid(a)) + b))],
        Outputs = [new("dst", Bound.Transcendental)],
        PerImage = true,
    };

    // The sum is wanted as it is too.
    private static OperationCase ReadTwice() => new()
    {
        Name = "add, ReLU/the sum has another reader",
        Inputs = [CaseInput.Constant("a", new Shape(2, 3, 5, 7), Fills.Normal()), CaseInput.Constant("b", new Shape(2, 3, 5, 7), Fills.Normal())],
        Build = (graph, x) =>
        {
            Value sum = graph.Add(x[0], x[1]);
            return [graph.Relu(sum), graph.Affine(sum, 2)];
        },
        Oracle = x =>
        [
            ElementwiseOracles.Combine(x[0], x[1], (a, b) => Math.Max(0, a + b)),
            ElementwiseOracles.Combine(x[0], x[1], (a, b) => 2 * (a + b)),
        ],
        Outputs = [new("rectified", Bound.Elementwise), new("doubled", Bound.Elementwise)],
        PerImage = true,
    };

    private static OperationCase Normalized(bool perImage, int channels) => new()
    {
        Name = $"range_normalize, conv2d/{(perImage ? "per image" : "whole")}, {channels} channels",
        Inputs =
        [
            CaseInput.Constant("src", new Shape(2, channels, 9, 11), Fills.Distinct(-1, 5)),
            CaseInput.State("weights", new Shape(8, channels, 3, 3), Fills.Normal(1 / Math.Sqrt(9 * channels))),
            CaseInput.State("bias", new Shape(8), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            (Value normalized, Value low, Value high) = graph.RangeNormalize(x[0], perImage, 2, -1);
            return [graph.Conv2d(normalized, x[1], x[2], 1, 1), low, high];
        },
        Oracle = x =>
        {
            Tensor[] normalized = RangeOracles.Normalize(x[0], perImage, 2, -1);
            return [ConvolutionOracles.Conv2d(normalized[0], x[1], x[2], 1, 1), normalized[1], normalized[2]];
        },
        Outputs = [new("dst", Bound.Accumulation((9 * channels) + 4, "the window's products of scaled values")), new("lo", Bound.Exact), new("hi", Bound.Exact)],
        PerImage = perImage,
    };

    private static OperationCase Clamped(PixelRounding rounding) => new()
    {
        Name = $"unit clamp, pack_pixels/{rounding}".ToLowerInvariant(),
        Inputs = [CaseInput.Constant("image", new Shape(2, 3, 33, 47), Fills.ClearOfRounding)],
        Build = (graph, x) => [graph.PackPixels(graph.UnitClamp(x[0]), rounding)],
        Oracle = x => [PixelOracles.Pack(x[0], rounding)],
        Outputs = [new("bytes", Bound.Exact)],
        PerImage = true,
    };
}

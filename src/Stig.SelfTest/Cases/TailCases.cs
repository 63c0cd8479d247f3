using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>
/// Every number of elements that can be left over when an executor works on 16 bytes at a time: channels of a feature map, alone and after
/// a whole vector, in float32 and bfloat16, and elements of a planar row. One case has all operations that go through such rows.
/// </summary>
internal static class TailCases
{
    private const float Epsilon = 1e-5f;

    private static readonly Bound Interpolation = new(16 * Bound.Rounding, 16 * Bound.Rounding, "sixteen products, of weights up to 1.4");
    private static readonly Bound Statistics = new(16 * Bound.Rounding, 32 * Bound.Rounding, "sums over eight pixels and a handful of roundings");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. from channels in Enumerable.Range(1, 15).Except([4, 8])
           select Features(channels),
        .. from length in Enumerable.Range(1, 9)
           select Planar(length),
    ];

    private static OperationCase Features(int channels)
    {
        var shape = new Shape(2, channels, 4, 2);
        return new OperationCase
        {
            Name = $"tails/feature map of {channels} channels",
            Inputs = [CaseInput.Constant("a", shape, Fills.Normal(0.5, 1)), CaseInput.Constant("b", shape, Fills.Normal())],
            Build = (graph, x) =>
            {
                Value a = graph.AsFeatures(x[0]);
                Value b = graph.AsFeatures(x[1]);
                Value[] normalized = [.. graph.Normalization(a, null, null, NormalizationStatistics.PerImage, Epsilon, 1)];
                return
                [
                    graph.Affine(a, -1.7f, 0.3f), graph.Add(a, b), graph.Multiply(a, b), graph.LeakyRelu(b, 0.2f), graph.Sigmoid(b),
                    graph.Relu(graph.Add(graph.Affine(a, 0.5f), b)), .. normalized, graph.MaxPool2x2(a), graph.BicubicUp2(b),
                    graph.Concat(Axis.Channel, graph.Affine(a, 2), graph.Affine(b, 2)), graph.AsPlain(graph.Affine(b, 2)),
                ];
            },
            Oracle = x =>
            {
                (Tensor a, Tensor b) = (x[0], x[1]);
                Tensor twice = b.Map(value => 2 * value);
                return
                [
                    a.Map(value => (-1.7f * value) + 0.3f), ElementwiseOracles.Combine(a, b, (p, q) => p + q), ElementwiseOracles.Combine(a, b, (p, q) => p * q),
                    b.Map(value => ElementwiseOracles.LeakyRelu(value, 0.2f)), b.Map(ElementwiseOracles.Sigmoid),
                    ElementwiseOracles.Combine(a, b, (p, q) => Math.Max(0, (0.5 * p) + q)),
                    .. NormalizationOracles.Normalization(a, null, null, NormalizationStatistics.PerImage, Epsilon, 1),
                    ResampleOracles.MaxPool(a), ResampleOracles.BicubicUp2(b), SelectionOracles.Concat(Axis.Channel, a.Map(value => 2 * value), twice), twice,
                ];
            },
            Outputs =
            [
                new("affine", Bound.Elementwise), new("add", Bound.Elementwise), new("multiply", Bound.Elementwise), new("leaky ReLU", Bound.Elementwise),
                new("sigmoid", Bound.Transcendental), new("affine, add, ReLU", Bound.Elementwise), new("normalization", Statistics), new("mean", Statistics, Sensitivity: 2),
                new("variance", Statistics, Sensitivity: 4), new("max_pool", Bound.Exact), new("bicubic_up2", Interpolation), new("concat", Bound.Exact),
                new("plain", Bound.Exact),
            ],
            PerImage = true,
        };
    }

    private static OperationCase Planar(int length)
    {
        var shape = new Shape(2, 1, 1, length);
        return new OperationCase
        {
            Name = $"tails/planar rows of {length}",
            Inputs =
            [
                CaseInput.Constant("a", shape, Fills.Distinct(-1, 5)), CaseInput.Constant("b", shape, Fills.Normal()),
                CaseInput.Constant("factors", new Shape(2, 1), Fills.Uniform(0.5, 1)),
            ],
            Build = (graph, x) =>
            {
                (Value normalized, Value lo, Value hi) = graph.RangeNormalize(x[0], perImage: true, 2, -1);
                return
                [
                    graph.Affine(x[0], -1.7f, 0.3f), graph.Add(x[0], x[1]), graph.Multiply(x[0], x[1]), graph.LeakyRelu(x[1], 0.2f),
                    graph.Relu(graph.Add(graph.Affine(x[0], 0.5f), x[1])), graph.ScaleImages(x[1], x[2]), normalized, lo, hi,
                    graph.RangeDenormalize(x[1], lo, hi, 2, -1), graph.Fill(shape, -1.25f), graph.Slice(graph.Concat(Axis.Batch, graph.Affine(x[1], 2), x[0]), Axis.Batch, 0, 2),
                ];
            },
            Oracle = x =>
            {
                Tensor[] normalized = RangeOracles.Normalize(x[0], true, 2, -1);
                return
                [
                    x[0].Map(value => (-1.7f * value) + 0.3f), ElementwiseOracles.Combine(x[0], x[1], (p, q) => p + q),
                    ElementwiseOracles.Combine(x[0], x[1], (p, q) => p * q), x[1].Map(value => ElementwiseOracles.LeakyRelu(value, 0.2f)),
                    ElementwiseOracles.Combine(x[0], x[1], (p, q) => Math.Max(0, (0.5 * p) + q)), ElementwiseOracles.ScaleImages(x[1], x[2]),
                    .. normalized, RangeOracles.Denormalize(x[1], normalized[1], normalized[2], 2, -1), new Tensor(shape).Map(_ => -1.25), x[1].Map(value => 2 * value),
                ];
            },
            Outputs =
            [
                new("affine", Bound.Elementwise), new("add", Bound.Elementwise), new("multiply", Bound.Elementwise), new("leaky ReLU", Bound.Elementwise),
                new("affine, add, ReLU", Bound.Elementwise), new("scale_images", Bound.Elementwise), new("range_normalize", Bound.Elementwise), new("lo", Bound.Exact),
                new("hi", Bound.Exact), new("range_denormalize", Bound.Elementwise), new("fill", Bound.Exact), new("slice", Bound.Exact),
            ],
        };
    }
}

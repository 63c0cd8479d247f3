using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Sampled positions, gathered features, unit rows, the contrastive loss.</summary>
internal static class PatchCases
{
    private static readonly Bound Softmax = new(
        4e-6, 1e-5, "similarities of unit rows are exact to 1e-7 and divided by a temperature of 0.07 before the exponential");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        Sample("one of one", 1, 1, 0, 5),
        Sample("all of 64", 64, 64, 3, 0),
        Sample("all of 33 x 47", 33 * 47, 33 * 47, 1, 7),
        Sample("256 of 65536", 256, 65536, 4, 123456),
        Sample("seven of a prime", 7, 1009, 2, -1),
        Gather(new Shape(2, 3, 5, 7), false),
        Gather(new Shape(2, 16, 5, 7), true),
        Gather(new Shape(3, 48, 2, 9), true),
        L2Normalize(1, 1),
        L2Normalize(3, 48),
        L2Normalize(67, 17),
        PatchNce(1, 5, 8),
        PatchNce(2, 7, 3),
        PatchNce(2, 64, 48),
        PatchNce(1, 1, 4),
    ];

    private static OperationCase Sample(string what, int count, int extent, int stream, int step)
    {
        const int seedLow = -559038737;
        const int seedHigh = 1234567;
        return new OperationCase
        {
            Name = $"sample_positions/{what}",
            Inputs = [new CaseInput("random", TensorType.Integers(4), Fills.Given(seedLow, seedHigh, step, 0))],
            Build = (graph, x) => [graph.SamplePositions(x[0], stream, extent, count)],
            Oracle = _ => [PatchOracles.SamplePositions(
                unchecked((uint)seedLow), seedHigh, unchecked((uint)step), (uint)stream, extent, count)],
            Outputs = [new("positions", Bound.Exact)],
        };
    }

    private static OperationCase Gather(Shape shape, bool features) => new()
    {
        Name = $"gather_positions/{shape}, {(features ? "feature map" : "planar")}",
        Inputs =
        [
            CaseInput.Variable("src", shape, Fills.Normal()),
            new CaseInput("positions", TensorType.Integers(4), Fills.Given(3, 0, (shape.H * shape.W) - 1, 7)),
        ],
        Build = (graph, x) => [graph.GatherPositions(features ? graph.AsFeatures(x[0]) : x[0], x[1])],
        Oracle = x => [PatchOracles.GatherPositions(x[0], x[1])],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = true,
    };

    private static OperationCase L2Normalize(int rows, int length) => new()
    {
        Name = $"l2_normalize/{rows} rows of {length}",
        Inputs = [CaseInput.Variable("src", new Shape(rows, length), Fills.Normal())],
        Build = (graph, x) => [graph.L2Normalize(x[0], 1e-7f)],
        Oracle = x => [PatchOracles.L2Normalize(x[0], 1e-7f)],
        Outputs = [new("dst", Bound.Accumulation(length, "a row's squares"))],

        // A row of one element is normalised to its sign: the true gradient is the tiny derivative of x / (|x| + eps).
        Gradient = length == 1 ? null : Bound.Accumulation(4 * length, "a row's squares and products, which partly cancel"),
        PerImage = rows > 1,
    };

    private static OperationCase PatchNce(int groups, int patches, int length) => new()
    {
        Name = $"patch_nce/{groups} x {patches} patches of {length}",
        Inputs =
        [
            CaseInput.Variable("queries", new Shape(groups * patches, length), Fills.UnitRows),
            CaseInput.Constant("keys", new Shape(groups * patches, length), Fills.UnitRows),
        ],
        Build = (graph, x) => [.. graph.Apply(new PatchNce(groups, 0.07f), x)],
        Oracle = x => PatchOracles.PatchNce(x[0], x[1], groups, 0.07f),
        Outputs = [new("loss", Softmax), new("probability", Softmax)],
        Gradient = patches == 1 ? null : Softmax,
    };
}

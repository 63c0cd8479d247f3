using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// Draws positions 0 .. Extent - 1 without replacement: the first Count values of a keyed permutation (native/cpu/patch_nce.cpp). Input:
/// int32 [4] = seed low, seed high, step, 0, so that a captured step stays valid. Output: int32 [Count].
/// </summary>
internal sealed record SamplePositions(int Stream, int Extent, int Count) : Operation
{
    public override string Name => "sample_positions";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type == TensorType.Integers(4) && Count <= Extent, inputs, $"int32 [4], and at most {Extent} positions");
        return [TensorType.Integers(Count)];
    }
}

/// <summary>Feature vectors at positions (y W + x): src [N, C, H, W], positions [P] to [N P, C].</summary>
internal sealed record GatherPositions : Operation
{
    public override string Name => "gather_positions";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && inputs[1].Type.Element == ElementType.Int32 && inputs[1].Shape.Rank == 1, inputs,
            "features [N, C, H, W] and int32 [P]");
        return [TensorType.Float(src.N * inputs[1].Shape[0], src.C)];
    }

    public override Value?[] Differentiate(GradientContext context) =>
    [
        context.Graph.ApplySingle(new GatherPositionsBackward(context.Input(0).Type), context.OutputGradient(), context.Input(1)),
        null,
    ];
}

/// <summary>Inputs: gradient of the vectors, positions. Output: gradient of the features, zero elsewhere.</summary>
internal sealed record GatherPositionsBackward(TensorType SourceType) : Operation
{
    public override string Name => "gather_positions_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [SourceType];
}

/// <summary>Rows divided by their norm: dst = src / (||src|| + eps).</summary>
internal sealed record L2Normalize(float Epsilon) : Operation
{
    public override string Name => "l2_normalize";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Shape.Rank == 2, inputs, "rows [N, K]");
        return [inputs[0].Type];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new L2NormalizeBackward(Epsilon), context.Input(0), context.OutputGradient())];
}

/// <summary>Inputs: src, gradient of dst. Output: gradient of src.</summary>
internal sealed record L2NormalizeBackward(float Epsilon) : Operation
{
    public override string Name => "l2_normalize_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>
/// PatchNCE (Park et al. 2020): for unit rows q_i and k_i, the mean cross entropy of [q_i k_i, q_i k_1, ..., q_i k_P] / temperature against
/// class 0, the diagonal of the negatives replaced by -10, negatives from the same image (Groups images). Keys are constants. Outputs: the
/// loss; the softmax [N, P], which the gradient needs.
/// </summary>
internal sealed record PatchNce(int Groups, float Temperature) : Operation
{
    public override string Name => "patch_nce";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape query = inputs[0].Shape;
        Require(query.Rank == 2 && query == inputs[1].Shape && query[0] % Groups == 0, inputs, $"queries and keys [{Groups} P, K]");
        return [TensorType.Float(), TensorType.Float(query[0], query[0] / Groups)];
    }

    public override bool MayOmit(int output) => output == 1;

    public override Value?[] Differentiate(GradientContext context) =>
    [
        context.Graph.ApplySingle(new PatchNceBackward(Groups, Temperature), context.Input(1), context.Output(1), context.OutputGradient()),
        null,
    ];
}

/// <summary>Inputs: keys, softmax, gradient of the loss. Output: gradient of the queries.</summary>
internal sealed record PatchNceBackward(int Groups, float Temperature) : Operation
{
    public override string Name => "patch_nce_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

internal static class PatchNceExtensions
{
    public static Value SamplePositions(this Graph graph, Value random, int stream, int extent, int count) =>
        graph.ApplySingle(new SamplePositions(stream, extent, count), random);

    public static Value GatherPositions(this Graph graph, Value features, Value positions) =>
        graph.ApplySingle(new GatherPositions(), features, positions);

    public static Value L2Normalize(this Graph graph, Value rows, float epsilon) => graph.ApplySingle(new L2Normalize(epsilon), rows);

    public static Value PatchNce(this Graph graph, Value queries, Value keys, int groups, float temperature) =>
        graph.ApplySingle(new PatchNce(groups, temperature), queries, keys);
}

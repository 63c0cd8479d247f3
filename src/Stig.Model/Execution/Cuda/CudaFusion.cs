using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// dst = act(scale f(a) + offset + b), act(v) = v where positive, else slope v; f the identity or a sigmoid. b may have one image, which is
/// then added to every image of a.
/// </summary>
internal sealed record ActivatedSum(ActivationKind? Inner, float Scale, float Offset, float Slope) : Operation
{
    public override string Name => "activated_sum";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];

    public override bool MayOverwrite(int input) => input == 0;
}

/// <summary>
/// Min-max scaling (<see cref="RangeNormalize"/>) of planar images into a feature map whose further channels, up to a whole vector, are 0.
/// Outputs: the map; lo; hi.
/// </summary>
internal sealed record RangeNormalizeToFeatures(bool PerImage, float Scale, float Offset) : Operation
{
    public override string Name => "range_normalize_to_features";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        TensorType extremes = TensorType.Float(PerImage ? inputs[0].Shape.N : 1, 1);
        return [TensorType.Features(inputs[0].Shape), extremes, extremes];
    }
}

/// <summary>
/// Rewrites a graph so that neighbours which one kernel can carry out are one node. A rule looks at a node and at the producer of what it
/// reads, and applies where nobody else reads that; the producer is then left without a reader, and the memory plan drops it.
/// </summary>
internal sealed class CudaFusion
{
    private readonly Graph graph;
    private readonly Graph fused = new();
    private readonly Dictionary<Value, Value> images = [];
    private readonly Dictionary<Value, List<Node>> readers = [];
    private readonly HashSet<Value> kept;

    private CudaFusion(Graph graph)
    {
        this.graph = graph;
        kept = [.. graph.Outputs.Values];
    }

    /// <summary>Rewrites a graph.</summary>
    /// <param name="graph">The graph; it stays as it is.</param>
    /// <param name="images">The value of the result that each input and output of the graph has become.</param>
    /// <returns>A graph with the same inputs, parameters and outputs.</returns>
    public static Graph Fuse(Graph graph, out IReadOnlyDictionary<Value, Value> images)
    {
        var fusion = new CudaFusion(graph);
        fusion.Run();
        images = fusion.images;
        return fusion.fused;
    }

    private void Run()
    {
        foreach (Value input in graph.Inputs.Values)
        {
            images[input] = fused.Input(input.Name, input.Type);
        }

        foreach (Value parameter in graph.Parameters.Values)
        {
            images[parameter] = fused.Parameter(parameter.Name, parameter.Shape);
        }

        List<Node> nodes = MemoryPlan.LiveNodes(graph);
        foreach (Node node in nodes)
        {
            foreach (Value input in node.Inputs)
            {
                if (!readers.TryGetValue(input, out List<Node>? known))
                {
                    readers.Add(input, known = []);
                }

                known.Add(node);
            }
        }

        foreach (Node node in nodes)
        {
            // The scope's name, so that the node in place of this one is found under the same.
            int end = node.Name.LastIndexOf('/');
            using IDisposable? scope = end > 0 ? fused.Scope(node.Name[..end]) : null;
            Rewrite(node);
        }

        foreach ((string name, Value output) in graph.Outputs)
        {
            fused.Output(name, images[output]);
        }
    }

    private void Rewrite(Node node)
    {
        Value[] inputs = [.. node.Inputs.Select(input => images[input])];
        Value[] results = node.Operation switch
        {
            Relayout { Layout: TensorLayout.Plain } relayout => [ToPlain(node, relayout)],
            Add => [Sum(node)],
            Activation { Kind: ActivationKind.LeakyRelu } relu => [Rectify(node, relu)],
            PackPixels pack when Before(node.Inputs[0]) is { Operation: Activation { Kind: ActivationKind.UnitClamp } } clamp =>
                [fused.ApplySingle(pack, clamp.Inputs[0])], // Packing clamps.
            RangeNormalize range when IsReadByConvolutionsOnly(node.Outputs[0]) =>
                [.. fused.Apply(new RangeNormalizeToFeatures(range.PerImage, range.Scale, range.Offset), inputs)],
            _ => [.. fused.Apply(node.Operation, inputs)],
        };
        for (int output = 0; output < results.Length; output++)
        {
            images[node.Outputs[output]] = results[output];
        }
    }

    // A function of a feature map that is wanted plain is taken of the plain values, in float32, where a sum may follow.
    private Value ToPlain(Node node, Relayout relayout) => Before(node.Inputs[0]) is { Operation: Activation activation } before
        ? fused.ApplySingle(activation, fused.ApplySingle(relayout, before.Inputs[0]))
        : fused.ApplySingle(relayout, images[node.Inputs[0]]);

    // scale f(x) + offset + b, as much of it as there is.
    private Value Sum(Node node)
    {
        var sum = new ActivatedSum(null, 1, 0, 1);
        Value operand = node.Inputs[0];
        Value a = images[operand];
        if (Before(operand) is { Operation: Affine affine } scaling)
        {
            sum = sum with { Scale = affine.Scale, Offset = affine.Offset };
            operand = operand.Producer!.Inputs[0];
            a = scaling.Inputs[0];
        }

        if (Before(operand) is { Operation: Activation { Kind: ActivationKind.Sigmoid or ActivationKind.SymmetricSigmoid } sigmoid } curve)
        {
            sum = sum with { Inner = sigmoid.Kind };
            a = curve.Inputs[0];
        }

        Value b = images[node.Inputs[1]];
        return sum == new ActivatedSum(null, 1, 0, 1) ? fused.Add(a, b) : fused.ApplySingle(sum, a, b);
    }

    private Value Rectify(Node node, Activation relu) => Before(node.Inputs[0]) switch
    {
        { Operation: Add } sum => fused.ApplySingle(new ActivatedSum(null, 1, 0, relu.Slope), [.. sum.Inputs]),
        { Operation: ActivatedSum { Slope: 1 } operation } sum => fused.ApplySingle(operation with { Slope = relu.Slope }, [.. sum.Inputs]),
        _ => fused.ApplySingle(relu, images[node.Inputs[0]]),
    };

    // The node of the result that computes a value, where that may be done by the value's reader instead: nobody else reads it, and no
    // parameter that it needs has been updated meanwhile.
    private Node? Before(Value value)
    {
        if (kept.Contains(value) || readers[value].Count != 1 || images[value].Producer is not Node producer)
        {
            return null;
        }

        bool updated = fused.Nodes.Skip(producer.Index + 1).Any(later =>
            Enumerable.Range(0, later.Outputs.Count).Any(output => later.Operation.UpdatedInput(output) is int input && producer.Inputs.Contains(later.Inputs[input])));
        return updated ? null : producer;
    }

    private bool IsReadByConvolutionsOnly(Value value) =>
        value.Shape.Rank == 4 && !kept.Contains(value)
        && readers.TryGetValue(value, out List<Node>? known) && known.All(reader => reader.Operation is Conv2d && reader.Inputs[0] == value);
}

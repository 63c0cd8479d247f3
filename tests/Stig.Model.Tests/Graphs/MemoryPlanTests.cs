using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Graphs;

/// <summary>
/// The memory plan changes where values live and nothing else. Oracles: the same graph with every value kept to the end, to the byte, and
/// every node run in a graph of its own, where there is nothing to plan.
/// </summary>
public sealed class MemoryPlanTests
{
    private const int GraphsOfEachKind = 40;

    // Vector code may treat the tail of a plane otherwise than its body, so that layouts differ by roundings: a few of float32.
    private const double Tolerance = 2e-6;

    public static TheoryData<bool, bool> Kinds => new() { { false, false }, { false, true }, { true, false }, { true, true } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Random_graphs_give_the_same_with_and_without_sharing(bool aligned, bool training)
    {
        long shared = 0;
        long unshared = 0;
        for (int seed = 0; seed < GraphsOfEachKind; seed++)
        {
            Dictionary<string, float[]> planned = Harness.Run(RandomGraph(seed, aligned, training), seed, out MemoryPlan plan);
            Graph keeping = RandomGraph(seed, aligned, training);
            Harness.KeepEverything(keeping);
            Dictionary<string, float[]> kept = Harness.Run(keeping, seed, out _);
            foreach ((string name, float[] values) in planned)
            {
                Assert.True(
                    values.AsSpan().SequenceEqual(kept[name]), $"seed {seed}, aligned {aligned}, training {training}: {name} differs");
            }

            shared += plan.ArenaBytes;
            unshared += plan.UnsharedBytes;
        }

        Assert.True(shared < unshared, "no graph shared any memory: the test has tested nothing");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Random_graphs_give_what_their_nodes_give_one_by_one(bool aligned)
    {
        for (int seed = 0; seed < GraphsOfEachKind; seed++)
        {
            Graph graph = RandomGraph(seed, aligned, training: true);
            Dictionary<string, float[]> planned = Harness.Run(graph, seed, out _);
            Dictionary<Value, float[]> single = NodeByNode(graph, seed);
            foreach ((string name, Value value) in graph.Outputs)
            {
                double distance = Harness.Distance(planned[name], single[value]);
                Assert.True(distance <= Tolerance, $"seed {seed}, aligned {aligned}: {name} is off by {distance:E1}");
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Nested_unet_copies_nothing_at_inference(int images)
    {
        Dictionary<string, float[]> planned = Harness.Run(Generator(images, training: false), 1, out MemoryPlan plan);
        Assert.Equal(0, CopiedParts(plan));
        Assert.True(plan.ArenaBytes < plan.UnsharedBytes / 2, $"{plan.ArenaBytes} of {plan.UnsharedBytes} bytes");

        Graph keeping = Generator(images, training: false);
        Harness.KeepEverything(keeping);
        Assert.Equal(Harness.Run(keeping, 1, out _)["result"], planned["result"]);
    }

    [Fact]
    public void Nested_unet_has_the_same_gradients_with_and_without_sharing()
    {
        Dictionary<string, float[]> planned = Harness.Run(Generator(2, training: true), 1, out _);
        Graph keeping = Generator(2, training: true);
        Harness.KeepEverything(keeping);
        Dictionary<string, float[]> kept = Harness.Run(keeping, 1, out _);
        Assert.Equal((30 * 3) + 5, planned.Count);
        foreach ((string name, float[] values) in planned)
        {
            Assert.True(values.AsSpan().SequenceEqual(kept[name]), $"{name} differs");
            Assert.Contains(values, value => value != 0);
        }
    }

    [Fact]
    public void In_place_result_takes_the_place_of_a_value_that_nobody_needs_any_more()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(2, 3, 5, 7));
        Value doubled = graph.Affine(x, 2);
        Value result = graph.Output("result", graph.Relu(doubled));
        Dictionary<string, float[]> outputs = Harness.Run(graph, 1, out MemoryPlan plan);
        Assert.Equal(plan[doubled], plan[result]);
        Assert.Equal(Harness.Draw(x, 1).Select(value => Math.Max(0, 2 * value)), outputs["result"]);
    }

    // Each of these needs the value before the activation: a later reader, an output, a view of it, both operands of one node, an input.
    [Theory]
    [InlineData("later reader")]
    [InlineData("output")]
    [InlineData("view")]
    [InlineData("twice")]
    [InlineData("input")]
    public void In_place_result_never_overwrites_what_is_needed(string reason)
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(2, 3, 5, 7));
        Value doubled = reason == "input" ? x : graph.Affine(x, 2);
        Value view = reason == "view" ? graph.Slice(doubled, Axis.Batch, 1, 1) : doubled;
        Value result = graph.Output("result", reason == "twice" ? graph.Multiply(doubled, doubled) : graph.Relu(doubled));
        Value reader = reason == "output" ? doubled : graph.Affine(view, 1, 1);
        graph.Output("reader", reader);
        Dictionary<string, float[]> outputs = Harness.Run(graph, 1, out MemoryPlan plan);

        float[] before = [.. Harness.Draw(x, 1).Select(value => reason == "input" ? value : 2 * value)];
        Assert.Equal(before.Select(value => reason == "twice" ? value * value : Math.Max(0, value)), outputs["result"]);
        Assert.Equal(
            before.Skip(reason == "view" ? before.Length / 2 : 0).Select(value => reason == "output" ? value : value + 1),
            outputs["reader"]);
        Assert.NotEqual(plan[doubled], plan[result]);
    }

    [Fact]
    public void Nodes_that_nobody_asked_for_do_not_run()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(3));
        Value wanted = graph.Affine(x, 2);
        graph.Affine(wanted, 3);
        graph.Output("wanted", wanted);
        Harness.Run(graph, 1, out MemoryPlan plan);
        Assert.Equal([wanted.Producer!], plan.Nodes);
    }

    [Fact]
    public void Input_and_parameter_can_be_outputs_that_no_node_reads()
    {
        var graph = new Graph();
        Value x = graph.Output("x", graph.Input("x", TensorType.Float(2, 3)));
        Value w = graph.Output("w", graph.Parameter("w", new Shape(4)));
        Dictionary<string, float[]> outputs = Harness.Run(graph, 1, out _);
        Assert.Equal(Harness.Draw(x, 1), outputs["x"]);
        Assert.Equal(Harness.Draw(w, 1), outputs["w"]);
    }

    // The old version of a parameter is gone once it is updated.
    [Fact]
    public void Reading_a_parameter_after_its_update_is_an_error_that_names_both()
    {
        var graph = new Graph();
        Value w = graph.Parameter("w", new Shape(4));
        using (graph.Scope("step"))
        {
            Update(graph, w);
        }

        using (graph.Scope("late"))
        {
            graph.Output("late", graph.Affine(w, 2));
        }

        GraphException error = Assert.Throws<GraphException>(() => Harness.Run(graph, 1, out _));
        Assert.Equal("late/affine reads w, which step/adam has overwritten by then.", error.Message);
    }

    [Fact]
    public void Output_of_a_parameter_from_before_its_update_is_an_error()
    {
        var graph = new Graph();
        Value w = graph.Parameter("w", new Shape(4));
        graph.Output("before", w);
        Update(graph, w);
        GraphException error = Assert.Throws<GraphException>(() => Harness.Run(graph, 1, out _));
        Assert.Equal("Output before is w, which adam overwrites.", error.Message);
    }

    // Small graphs of every kind of selection and of operations that may work in place. Aligned: channels are multiples of 16, so that
    // executors with blocked layouts use them; otherwise any.
    private static Graph RandomGraph(int seed, bool aligned, bool training)
    {
        var random = new Random((seed * 4) + (aligned ? 2 : 0) + (training ? 1 : 0));
        int unit = aligned ? 16 : 1;
        var graph = new Graph();
        List<Value> values = [];
        for (int i = 0; i < 3; i++)
        {
            Value input = graph.Input($"x{i}", TensorType.Float(random.Next(1, 3), unit * random.Next(1, 4), 3, 5));
            values.Add(i == 0 ? input : graph.AsFeatures(input));
        }

        for (int step = 0; step < 14; step++)
        {
            Value a = values[random.Next(values.Count)];
            Value[] alike = [.. values.Where(v => v.Type == a.Type)];
            Value b = alike[random.Next(alike.Length)];
            Value added = random.Next(12) switch
            {
                0 => graph.Affine(a, -0.7f, 0.1f),
                1 => graph.LeakyRelu(a, 0.2f),
                2 => graph.Sigmoid(a),
                3 => graph.Affine(graph.Add(a, b), 0.5f),
                4 => graph.Multiply(a, b),
                5 or 6 => Join(random, graph, values, a, Axis.Channel),
                7 => Join(random, graph, values, a, Axis.Batch),
                8 => Cut(random, graph, a, Axis.Channel, unit),
                9 => Cut(random, graph, a, Axis.Batch, 1),
                10 => graph.ApplySingle(new Unflatten(a.Type), graph.Affine(graph.Flatten(a), 0.5f)),
                _ => a.Type.Layout == TensorLayout.Plain ? graph.AsFeatures(a) : graph.AsPlain(a),
            };
            if (added.Shape.Count <= 4000)
            {
                values.Add(added);
            }
        }

        Value last = values[^1];
        graph.Output("last", last);
        graph.Output("other", values[random.Next(3, values.Count)]);
        if (training)
        {
            Value loss = graph.Output("loss", graph.MeanSquaredError(last, 0.5f));
            Value[] inputs = [.. graph.Inputs.Values];
            foreach ((Value? gradient, Value input) in Gradients.Of(loss, inputs).Zip(inputs))
            {
                if (gradient is not null)
                {
                    graph.Output($"gradient of {input.Name}", gradient);
                }
            }
        }

        return graph;
    }

    private static Value Join(Random random, Graph graph, List<Value> values, Value first, Axis axis)
    {
        Value[] fitting =
        [
            .. values.Where(v => v.Type.Layout == first.Type.Layout && v.Shape.With((int)axis, 1) == first.Shape.With((int)axis, 1)),
        ];
        Value[] parts = [first, .. Enumerable.Range(0, random.Next(1, 3)).Select(_ => fitting[random.Next(fitting.Length)])];
        return graph.Concat(axis, parts);
    }

    private static Value Cut(Random random, Graph graph, Value a, Axis axis, int unit)
    {
        int units = a.Shape[(int)axis] / unit;
        int length = random.Next(1, units + 1);
        return graph.Slice(a, axis, unit * random.Next(0, units - length + 1), unit * length);
    }

    private static Dictionary<Value, float[]> NodeByNode(Graph graph, int seed)
    {
        Dictionary<Value, float[]> results = graph.Inputs.Values.ToDictionary(input => input, input => Harness.Draw(input, seed));
        foreach (Node node in graph.Nodes)
        {
            var single = new Graph();
            Value[] inputs = [.. node.Inputs.Select((input, i) => single.Input($"{i}", TensorType.Float(input.Shape)))];
            Value[] operands =
            [
                .. inputs.Select((input, i) => node.Inputs[i].Type.Layout == TensorLayout.Plain ? input : single.AsFeatures(input)),
            ];
            IReadOnlyList<Value> outputs = single.Apply(node.Operation, operands);
            for (int output = 0; output < outputs.Count; output++)
            {
                single.Output($"{output}", outputs[output]);
            }

            using var executor = new Execution.Cpu.CpuExecutor();
            using TensorStore store = executor.CreateStore();
            using Program program = executor.Compile(single, store);
            for (int input = 0; input < inputs.Length; input++)
            {
                program.Write<float>(inputs[input], results[node.Inputs[input]]);
            }

            program.Run();
            for (int output = 0; output < outputs.Count; output++)
            {
                results[node.Outputs[output]] = program.Read(outputs[output]);
            }
        }

        return results;
    }

    private static Graph Generator(int images, bool training)
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(images, 3, 32, 32));
        Value result = graph.Output("result", new NestedUNet(16).Apply(graph, x, NormalizationMode.PerImage));
        if (training)
        {
            Value loss = graph.Output("loss", graph.MeanSquaredError(result, 0.5f));

            // The bias of a convolution before a normalisation has no effect, and so no gradient but rounding errors: left out.
            Value[] variables = [x, .. graph.Parameters.Values.Where(p =>
                !p.Name.EndsWith(".conv1.bias", StringComparison.Ordinal)
                && !p.Name.EndsWith(".conv2.bias", StringComparison.Ordinal))];
            foreach ((Value? gradient, Value variable) in Gradients.Of(loss, variables).Zip(variables))
            {
                graph.Output($"gradient of {variable.Name}", gradient ?? throw new GraphException($"{variable} has no gradient."));
            }
        }

        return graph;
    }

    // Parts of joined tensors that do not lie in them.
    private static int CopiedParts(MemoryPlan plan)
    {
        int copies = 0;
        foreach (Node node in plan.Nodes.Where(node => node.Operation is Concat { Axis: Axis.Channel }))
        {
            Placement whole = plan[node.Outputs[0]]!.Value;
            int channel = whole.Offset.Channel;
            foreach (Value part in node.Inputs)
            {
                copies += plan[part] == new Placement(whole.Root, new ViewOffset(whole.Offset.Image, channel)) ? 0 : 1;
                channel += part.Shape.C;
            }
        }

        return copies;
    }

    private static Value Update(Graph graph, Value w)
    {
        Value first = graph.Parameter("m", w.Shape);
        Value second = graph.Parameter("v", w.Shape);
        Value gradient = graph.Fill(w.Shape, 1);
        Value rate = graph.Fill(Shape.Scalar, 0.1f);
        return graph.Adam(new Adam(0.9, 0.999, 1e-8), w, gradient, first, second, rate, graph.Fill(Shape.Scalar, 1));
    }
}

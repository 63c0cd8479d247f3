using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Graphs;

/// <summary>Mistakes in building a graph end in one line that says which operation, what it takes and what it got.</summary>
public sealed class GraphTests
{
    [Fact]
    public void Convolution_of_wrong_channels_says_so()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 5, 7));
        Value w = graph.Parameter("w", new Shape(8, 4, 3, 3));
        AssertMessage(
            "conv2d: expected src [N, IC, H, W], weights [OC, IC, KH, KW], bias [OC], got x float32[1, 3, 5, 7], w float32[8, 4, 3, 3].",
            () => graph.Conv2d(x, w, null, 1, 1));
    }

    [Fact]
    public void Window_larger_than_the_image_says_so()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 2, 2));
        Value w = graph.Parameter("w", new Shape(8, 3, 5, 5));
        AssertMessage(
            "conv2d: expected src no smaller than the window, got x float32[1, 3, 2, 2], w float32[8, 3, 5, 5].",
            () => graph.Conv2d(x, w, null, 1, 0));
    }

    [Fact]
    public void Sum_of_different_shapes_says_so()
    {
        var graph = new Graph();
        Value a = graph.Input("a", TensorType.Float(2, 3));
        Value b = graph.Input("b", TensorType.Float(2, 4));
        AssertMessage("add: b float32[2, 4] cannot be broadcast to a float32[2, 3].", () => graph.Add(a, b));
    }

    [Fact]
    public void Joining_different_sizes_says_so()
    {
        var graph = new Graph();
        Value a = graph.Input("a", TensorType.Float(1, 3, 5, 7));
        Value b = graph.Input("b", TensorType.Float(1, 3, 5, 8));
        AssertMessage(
            "concat: expected tensors equal but for axis 1, got a float32[1, 3, 5, 7], b float32[1, 3, 5, 8].",
            () => graph.Concat(Axis.Channel, a, b));
    }

    // The first axis of [C, H, W] is no batch: a view of it would start at the wrong place.
    [Fact]
    public void Cutting_and_joining_need_a_batch_and_a_channel_axis()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(3, 5, 7));
        AssertMessage(
            "slice: expected a tensor [N, C, H, W] or [N, K] whose axis 0 has 1 + 2 elements, got x float32[3, 5, 7].",
            () => graph.Slice(x, Axis.Batch, 1, 2));
        AssertMessage(
            "concat: expected tensors [N, C, H, W] or [N, K], got x float32[3, 5, 7], x float32[3, 5, 7].",
            () => graph.Concat(Axis.Batch, x, x));
    }

    [Fact]
    public void Odd_size_cannot_be_pooled()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 5, 8));
        AssertMessage(
            "max_pool: expected a tensor [N, C, H, W] of even height and width, got x float32[1, 3, 5, 8].",
            () => graph.MaxPool2x2(x));
    }

    [Fact]
    public void Value_of_another_graph_is_refused()
    {
        var graph = new Graph();
        Value foreign = new Graph().Input("x", TensorType.Float(3));
        AssertMessage("affine: x float32[3] belongs to another graph.", () => graph.Affine(foreign, 2));
    }

    [Fact]
    public void Parameter_asked_for_in_another_shape_is_refused()
    {
        var graph = new Graph();
        Value w = graph.Parameter("w", new Shape(3));
        Assert.Same(w, graph.Parameter("w", new Shape(3)));
        AssertMessage("Parameter w was declared as [3] and is asked for as [4].", () => graph.Parameter("w", new Shape(4)));
    }

    [Fact]
    public void Store_without_a_parameter_or_with_another_shape_is_refused()
    {
        var graph = new Graph();
        graph.Output("w", graph.Parameter("w", new Shape(3)));
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        AssertMessage("The store has no parameter w.", () => executor.Compile(graph, store));
        store.Create("w", new Shape(4), new float[4]);
        AssertMessage("Parameter w is [4] in the store and [3] in the graph.", () => executor.Compile(graph, store));
    }

    // Bytes written from outside are row-major; a layout of the executor's choice would misread them.
    [Fact]
    public void Input_in_the_executors_layout_is_refused()
    {
        var graph = new Graph();
        AssertMessage(
            "Input x is a feature map; inputs are plain and take the executor's layout inside the graph.",
            () => graph.Input("x", TensorType.Features(new Shape(1, 16, 5, 7))));
    }

    private static void AssertMessage(string message, Func<object> action) =>
        Assert.Equal(message, Assert.Throws<GraphException>(action).Message);
}

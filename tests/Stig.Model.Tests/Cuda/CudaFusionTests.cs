using Stig.Model.Execution;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Refinement;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Cuda;

/// <summary>What the rewriting of graphs for the GPU makes of them; that the kernels compute the same is the operation records' matter.</summary>
public sealed class CudaFusionTests
{
    [Theory]
    [InlineData(Preset.Default)]
    [InlineData(Preset.Official)]
    public void A_refinement_has_no_node_left_that_a_neighbour_can_do(Preset preset)
    {
        var architecture = new ModelArchitecture(preset, 32, 8, preset == Preset.Default ? NormalizationMode.PerImage : NormalizationMode.Batch);
        var graph = new Graph();
        Value images = graph.Input("images", TensorType.Bytes(new Shape(2, 3, 32, 32)));
        Value refined = RefineGraph.Build(graph, architecture, graph.UnpackPixels(images), OutputRange.Clamp);
        graph.Output("refined", graph.PackPixels(refined, PixelRounding.Nearest));

        string[] operations = Operations(graph);

        Assert.DoesNotContain("add", operations);
        Assert.DoesNotContain("affine", operations);
        Assert.DoesNotContain("range_normalize", operations);
        Assert.Single(operations, "range_normalize_to_features");
        Assert.Equal(preset == Preset.Default ? 2 : 0, operations.Count(name => name == "activated_sum"));

        // The official network's last sigmoid has no sum to go with.
        Assert.Equal(preset == Preset.Default ? 0 : 1, operations.Count(name => name == "activation"));
    }

    [Fact]
    public void Upsampled_maps_are_computed_in_their_place_in_the_joined_map()
    {
        var graph = new Graph();
        Value wide = graph.AsFeatures(graph.Input("wide", TensorType.Float(1, 16, 8, 8)));
        Value narrow = graph.AsFeatures(graph.Input("narrow", TensorType.Float(1, 16, 4, 4)));
        Value up = graph.BicubicUp2(narrow);
        graph.Output("joined", graph.AsPlain(graph.Concat(Axis.Channel, wide, up)));
        Graph fused = CudaFusion.Fuse(graph, out _);

        var plan = MemoryPlan.Create(fused, new CudaLayout(Precision.Bf16));

        Node join = plan.Nodes.Single(node => node.Operation is Concat);
        Value part = plan.Nodes.Single(node => node.Operation is BicubicUp2).Outputs[0];
        Assert.Equal(new Placement(join.Outputs[0], new ViewOffset(0, 16)), plan[part]);
    }

    [Fact]
    public void A_sum_that_is_an_output_stays()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 4, 4));
        Value sum = graph.Output("sum", graph.Add(x, x));
        graph.Output("y", graph.Relu(sum));

        Assert.Equal(["add", "activation"], Operations(graph));
    }

    [Fact]
    public void A_parameter_is_not_read_after_its_update()
    {
        // The sum reads the weights before the step changes them; fused with the ReLU it would come after.
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(2, 3));
        Value rate = graph.Input("rate", TensorType.Float(Shape.Scalar));
        Value weights = graph.Parameter("weights", new Shape(2, 3));
        Value sum = graph.Add(x, weights);
        graph.Sgd(new Sgd(0), weights, x, graph.Parameter("velocity", new Shape(2, 3)), rate);
        graph.Output("y", graph.Relu(sum));

        Assert.Equal(["add", "sgd", "activation"], Operations(graph));
    }

    [Fact]
    public void Nodes_keep_the_names_of_their_scopes()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 4, 4));
        using (graph.Scope("outer"))
        using (graph.Scope("inner"))
        {
            x = graph.Relu(graph.Add(x, x));
        }

        graph.Output("y", x);

        Assert.Equal("outer/inner/activated_sum", Assert.Single(Plan(graph).Nodes).Name);
    }

    [Theory]
    [InlineData(Preset.Default)]
    [InlineData(Preset.Official)]
    public void Kernels_are_called_as_their_nodes_are(Preset preset)
    {
        // So that a profiler's rows of nodes and of kernels can be read together. Convolutions are cuDNN's, joining is copying.
        string[] elsewhere = ["conv2d", "concat"];
        var architecture = new ModelArchitecture(preset, 32, 8, NormalizationMode.PerImage);
        var graph = new Graph();
        Value images = graph.Input("images", TensorType.Float(1, 3, 32, 32));
        graph.Output("refined", RefineGraph.Build(graph, architecture, images, OutputRange.Stretch));

        Assert.All(Operations(graph).Except(elsewhere), name =>
            Assert.Contains(KernelLibrary.Entries, entry => entry.StartsWith(name, StringComparison.Ordinal)));
    }

    private static string[] Operations(Graph graph) => [.. Plan(graph).Nodes.Select(node => node.Operation.Name)];

    private static MemoryPlan Plan(Graph graph) => MemoryPlan.Create(CudaFusion.Fuse(graph, out _), new CudaLayout(Precision.F32));
}

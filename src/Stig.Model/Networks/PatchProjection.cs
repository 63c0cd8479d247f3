using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>
/// The projection heads of the contrastive loss (Park et al. 2020): for each encoder level, feature vectors at sampled positions through
/// linear - ReLU - linear, then divided by their norm.
/// </summary>
/// <param name="Generator">The network whose encoder features are projected.</param>
/// <param name="Dimensions">Width of both linear layers (256 in the paper).</param>
/// <param name="Prefix">Prefix of the parameter names.</param>
internal sealed record PatchProjection(NestedUNet Generator, int Dimensions = 256, string Prefix = "mlp.")
{
    private const float Epsilon = 1e-7f;

    public IEnumerable<ParameterSpec> Parameters()
    {
        for (int level = 0; level < NestedUNet.Levels; level++)
        {
            int channels = Generator.Channels(level);
            yield return new ParameterSpec(
                $"{Prefix}mlp_{level}.0.weight", new Shape(Dimensions, channels), Initializer.UniformFanIn, channels);
            yield return new ParameterSpec($"{Prefix}mlp_{level}.0.bias", new Shape(Dimensions), Initializer.UniformFanIn, channels);
            yield return new ParameterSpec(
                $"{Prefix}mlp_{level}.2.weight", new Shape(Dimensions, Dimensions), Initializer.UniformFanIn, Dimensions);
            yield return new ParameterSpec($"{Prefix}mlp_{level}.2.bias", new Shape(Dimensions), Initializer.UniformFanIn, Dimensions);
        }
    }

    /// <summary>Unit vectors [N P, dimensions] of the features of a level [N, C, H, W] at P positions.</summary>
    public Value Apply(Graph graph, Value features, int level, Value positions)
    {
        using IDisposable scope = graph.Scope($"{Prefix}mlp_{level}");
        int channels = features.Shape.C;
        Value rows = graph.GatherPositions(features, positions);
        Value hidden = graph.Relu(graph.Linear(rows, Current(graph, $"mlp_{level}.0.weight", new Shape(Dimensions, channels)),
            Current(graph, $"mlp_{level}.0.bias", new Shape(Dimensions))));
        Value projected = graph.Linear(hidden, Current(graph, $"mlp_{level}.2.weight", new Shape(Dimensions, Dimensions)),
            Current(graph, $"mlp_{level}.2.bias", new Shape(Dimensions)));
        return graph.L2Normalize(projected, Epsilon);
    }

    private Value Current(Graph graph, string name, Shape shape) => graph.Latest(graph.Parameter(Prefix + name, shape));
}

using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>
/// How much of the refinement an image gets (docs/method.md, "default"): one linear layer and a sigmoid on its standardised spectral levels,
/// near 1 for fakes and near 0 for real images, so that what is real already stays as it is. Fitted in closed form.
/// </summary>
/// <param name="Grid">Nodes of the levels' grid along each axis.</param>
internal sealed record LevelGate(int Grid)
{
    /// <summary>Name of the levels' means over real and fake images, [3, Grid, Grid].</summary>
    public const string MeanName = "gate.mean";

    /// <summary>Name of the reciprocals of their standard deviations, [3, Grid, Grid].</summary>
    public const string ReciprocalName = "gate.reciprocal_std";

    /// <summary>Name of the layer's weights, [1, 3 Grid Grid].</summary>
    public const string WeightName = "gate.weight";

    /// <summary>Name of its bias, [1].</summary>
    public const string BiasName = "gate.bias";

    private int Inputs => 3 * Grid * Grid;

    private Shape GridShape => new(3, Grid, Grid);

    public IEnumerable<ParameterSpec> Parameters() =>
    [
        new(MeanName, GridShape, Initializer.Zero, Trained: false),
        new(ReciprocalName, GridShape, Initializer.Zero, Trained: false),
        new(WeightName, new Shape(1, Inputs), Initializer.Zero, Trained: false),
        new(BiasName, new Shape(1), Initializer.Zero, Trained: false),
    ];

    /// <summary>Levels [N, 3, Grid, Grid] of the images as they are to factors in (0, 1), [N, 1].</summary>
    public Value Apply(Graph graph, Value levels)
    {
        using IDisposable scope = graph.Scope("gate");
        Value centred = graph.Add(levels, graph.Affine(graph.Parameter(MeanName, GridShape), -1f));
        Value standardized = graph.Multiply(centred, graph.Parameter(ReciprocalName, GridShape));
        return graph.Sigmoid(graph.Linear(graph.Flatten(standardized), graph.Parameter(WeightName, new Shape(1, Inputs)),
            graph.Parameter(BiasName, new Shape(1))));
    }
}

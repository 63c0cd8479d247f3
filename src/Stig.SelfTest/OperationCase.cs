using Stig.Model.Graphs;

namespace Stig.SelfTest;

/// <summary>An output of an operation under test and how far it may be from the oracle.</summary>
/// <param name="Name">What it is called in messages.</param>
/// <param name="Bound">How far it may be with float32 feature maps.</param>
/// <param name="Sensitivity">How much larger, relatively, an error of the inputs is in this output (a mean that is small against the values).</param>
internal sealed record CaseOutput(string Name, Bound Bound, double Sensitivity = 1);

/// <summary>
/// One test of an operation: inputs, the graph under test, an oracle in plain double-precision loops, and bounds. It knows no executor.
/// </summary>
internal sealed record OperationCase
{
    /// <summary>Operation and circumstances: "conv2d/3x3 stride 2, odd size". Unique; inputs are seeded from it.</summary>
    public required string Name { get; init; }

    public required IReadOnlyList<CaseInput> Inputs { get; init; }

    /// <summary>Builds the graph from the inputs and gives the outputs.</summary>
    public required Func<Graph, Value[], Value[]> Build { get; init; }

    /// <summary>The outputs from the inputs.</summary>
    public required Func<Tensor[], Tensor[]> Oracle { get; init; }

    public required IReadOnlyList<CaseOutput> Outputs { get; init; }

    /// <summary>
    /// Bound of gradients with respect to the inputs that have one; they are those of output 0. Null where no input has a gradient.
    /// </summary>
    public Bound? Gradient { get; init; }

    /// <summary>
    /// Whether the operation promises that the results of image i do not depend, to the last bit, on the other images. Inputs with as many
    /// images as the first one are then cut into single images.
    /// </summary>
    public bool PerImage { get; init; }

    /// <summary>Whether the inputs lose what matters when a feature map is stored with fewer bits than float32.</summary>
    public bool NeedsFloat32Features { get; init; }

    public override string ToString() => Name;
}

using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>The spectral discriminator S on ring profiles, paper section 4: one linear layer and a sigmoid.</summary>
/// <param name="Rings">Length of a profile.</param>
/// <param name="Prefix">Prefix of the parameter names.</param>
internal sealed record ProfileDiscriminator(int Rings, string Prefix = "psd.")
{
    public IEnumerable<ParameterSpec> Parameters() =>
    [
        new($"{Prefix}0.weight", new Shape(1, Rings), Initializer.UniformFanIn, Rings),
        new($"{Prefix}0.bias", new Shape(1), Initializer.UniformFanIn, Rings),
    ];

    /// <summary>Profiles [N, rings] to predictions in (0, 1), [N, 1].</summary>
    public Value Apply(Graph graph, Value profile)
    {
        using IDisposable scope = graph.Scope(Prefix + "0");
        return graph.Sigmoid(graph.Linear(profile, graph.Latest(graph.Parameter($"{Prefix}0.weight", new Shape(1, Rings))),
            graph.Latest(graph.Parameter($"{Prefix}0.bias", new Shape(1)))));
    }
}

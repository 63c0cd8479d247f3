namespace Stig.Model.Graphs;

/// <summary>Where a value comes from.</summary>
internal enum ValueKind
{
    /// <summary>Written from outside before a run.</summary>
    Input,

    /// <summary>Lives in a <see cref="Execution.TensorStore"/> between runs, found by name; updated only by operations that
    /// say so.</summary>
    Parameter,

    /// <summary>Result of a node.</summary>
    Computed,
}

/// <summary>One tensor of a graph: written once, by its producer.</summary>
internal sealed class Value
{
    internal Value(Graph graph, int id, ValueKind kind, TensorType type, string name, Node? producer, int outputIndex)
    {
        Graph = graph;
        Id = id;
        Kind = kind;
        Type = type;
        Name = name;
        Producer = producer;
        OutputIndex = outputIndex;
    }

    public Graph Graph { get; }

    /// <summary>Position in <see cref="Graph.Values"/>.</summary>
    public int Id { get; }

    public ValueKind Kind { get; }

    public TensorType Type { get; }

    public Shape Shape => Type.Shape;

    public string Name { get; }

    /// <summary>The node that computes it; null unless <see cref="Kind"/> is <see cref="ValueKind.Computed"/>.</summary>
    public Node? Producer { get; }

    /// <summary>Which output of <see cref="Producer"/> it is.</summary>
    public int OutputIndex { get; }

    /// <summary>
    /// The parameter whose storage this value is a new version of, or null. An updated parameter is a value of its own, so that
    /// the order of reads and writes is in the graph.
    /// </summary>
    public Value? UpdatedParameter
    {
        get
        {
            if (Producer?.Operation.UpdatedInput(OutputIndex) is not int input)
            {
                return null;
            }

            Value before = Producer.Inputs[input];
            return before.UpdatedParameter ?? before;
        }
    }

    public override string ToString() => $"{Name} {Type}";
}

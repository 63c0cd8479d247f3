namespace Stig.Model.Graphs;

/// <summary>One application of an operation.</summary>
internal sealed class Node
{
    internal Node(int index, Operation operation, IReadOnlyList<Value> inputs, string name)
    {
        Index = index;
        Operation = operation;
        Inputs = inputs;
        Name = name;
    }

    /// <summary>Position in <see cref="Graph.Nodes"/>, which is an order of execution.</summary>
    public int Index { get; }

    public Operation Operation { get; }

    public IReadOnlyList<Value> Inputs { get; }

    public IReadOnlyList<Value> Outputs { get; internal set; } = [];

    /// <summary>Scope and operation, "generator/conv0_0/conv2d": what profilers and errors show.</summary>
    public string Name { get; }

    public override string ToString() => $"{Name}({string.Join(", ", Inputs.Select(v => v.Type))})";
}

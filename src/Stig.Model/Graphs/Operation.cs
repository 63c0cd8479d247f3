namespace Stig.Model.Graphs;

/// <summary>
/// What a node does: types, storage, gradient rule. It says nothing about how: executors find their implementation by the
/// operation's type. Operations are immutable records, so that equal operations compare equal.
/// </summary>
internal abstract record Operation
{
    /// <summary>Name in snake case: that of native/cpu/NAME.cpp or of a function there, of PTX entries, and of profiler ranges.</summary>
    public abstract string Name { get; }

    /// <summary>Types of the outputs for the given inputs.</summary>
    /// <exception cref="GraphException">The inputs do not fit.</exception>
    public abstract TensorType[] Infer(IReadOnlyList<Value> inputs);

    /// <summary>
    /// Gradients of the loss with respect to the inputs, as new nodes, given those with respect to the outputs; null where there
    /// is none. Called only when an input needs one.
    /// </summary>
    public virtual Value?[] Differentiate(GradientContext context) =>
        throw new GraphException($"{Name} has no gradient (asked for at {context.Node.Name}).");

    /// <summary>Input whose storage the given output takes over because the operation updates it in place (a parameter); or null.</summary>
    public virtual int? UpdatedInput(int output) => null;

    /// <summary>Whether the operation can do without the given output when nobody reads it.</summary>
    public virtual bool MayOmit(int output) => false;

    /// <summary>Whether output 0 may be written over the given input when nobody needs that any more.</summary>
    public virtual bool MayOverwrite(int input) => false;

    /// <summary>
    /// The value of output 0 once more, as new nodes, where that is cheap beside keeping it from the forward pass to the backward pass;
    /// null where it is kept.
    /// </summary>
    /// <param name="node">The node of this operation.</param>
    /// <param name="again">Gives an input once more, or the input itself where that is kept.</param>
    public virtual Value? Recompute(Node node, Func<Value, Value> again) => null;

    /// <summary>For an operation that only selects: where in its input the output starts. An executor may make it a view.</summary>
    public virtual ViewOffset? ViewOfInput => null;

    protected GraphException Mismatch(IReadOnlyList<Value> inputs, string expected) =>
        new($"{Name}: expected {expected}, got {string.Join(", ", inputs.Select(v => v.ToString()))}.");

    /// <summary>Throws unless the condition holds.</summary>
    protected void Require(bool condition, IReadOnlyList<Value> inputs, string expected)
    {
        if (!condition)
        {
            throw Mismatch(inputs, expected);
        }
    }
}

/// <summary>Start of a view within a tensor: first image and first channel.</summary>
internal readonly record struct ViewOffset(int Image, int Channel);

/// <summary>What a gradient rule sees.</summary>
internal sealed class GradientContext(Graph graph, Node node, IReadOnlyList<Value?> outputGradients, IReadOnlyList<bool> needed)
{
    public Graph Graph => graph;

    public Node Node => node;

    public Value Input(int index) => node.Inputs[index];

    public Value Output(int index = 0) => node.Outputs[index];

    /// <summary>
    /// The input, computed again where that is cheap: for tensors that the gradient reads, which would otherwise fill the memory from the
    /// forward pass on.
    /// </summary>
    public Value InputAgain(int index) => Again(node.Inputs[index]);

    /// <summary>Output 0, computed again where that is cheap.</summary>
    public Value OutputAgain() => Again(node.Outputs[0]);

    /// <summary>Whether the gradient with respect to that input is wanted.</summary>
    public bool Needs(int input) => needed[input];

    /// <summary>Gradient with respect to output 0. Rules of operations whose further outputs carry gradients ask for them one
    /// by one.</summary>
    public Value OutputGradient()
    {
        for (int output = 1; output < outputGradients.Count; output++)
        {
            if (outputGradients[output] is not null)
            {
                throw new GraphException($"{node.Name}: output {output} of {node.Operation.Name} is a constant to its gradient rule.");
            }
        }

        return outputGradients[0] ?? throw new GraphException($"{node.Name}: no gradient reached the output.");
    }

    private static Value Again(Value value) =>
        value is { Producer: Node producer, OutputIndex: 0 } ? producer.Operation.Recompute(producer, Again) ?? value : value;
}

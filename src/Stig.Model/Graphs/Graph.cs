namespace Stig.Model.Graphs;

/// <summary>
/// A program for fixed shapes: nodes in an order of execution. Built once, differentiated by <see cref="Gradients"/>, compiled by an
/// <see cref="Execution.Executor"/>, run many times. Operations add themselves through extension methods beside their definition.
/// </summary>
internal sealed class Graph
{
    private readonly List<Value> values = [];
    private readonly List<Node> nodes = [];
    private readonly Dictionary<string, Value> inputs = [];
    private readonly Dictionary<string, Value> parameters = [];
    private readonly Dictionary<string, Value> outputs = [];
    private readonly Dictionary<Value, Value> updates = [];
    private readonly List<string> scopes = [];

    public IReadOnlyList<Value> Values => values;

    public IReadOnlyList<Node> Nodes => nodes;

    /// <summary>Values written from outside, by name.</summary>
    public IReadOnlyDictionary<string, Value> Inputs => inputs;

    /// <summary>Values that live in a tensor store, by name.</summary>
    public IReadOnlyDictionary<string, Value> Parameters => parameters;

    /// <summary>Values that can be read after a run, by name.</summary>
    public IReadOnlyDictionary<string, Value> Outputs => outputs;

    /// <summary>Declares an input; its name is unique.</summary>
    /// <exception cref="GraphException">The type is not plain: what is written from outside is row-major.</exception>
    public Value Input(string name, TensorType type)
    {
        if (type.Layout != TensorLayout.Plain)
        {
            throw new GraphException($"Input {name} is a feature map; inputs are plain and take the executor's layout inside the graph.");
        }

        Value value = Add(ValueKind.Input, type, name, null, 0);
        inputs.Add(name, value);
        return value;
    }

    /// <summary>The parameter of that name: declared at the first use, the same value at every further one.</summary>
    /// <exception cref="GraphException">It was declared with another shape.</exception>
    public Value Parameter(string name, Shape shape)
    {
        if (parameters.TryGetValue(name, out Value? known))
        {
            return known.Shape == shape
                ? known
                : throw new GraphException($"Parameter {name} was declared as {known.Shape} and is asked for as {shape}.");
        }

        Value value = Add(ValueKind.Parameter, TensorType.Float(shape), name, null, 0);
        parameters.Add(name, value);
        return value;
    }

    /// <summary>A parameter as the nodes added so far leave it: after its last update, or the parameter itself.</summary>
    public Value Latest(Value parameter) => updates.GetValueOrDefault(parameter, parameter);

    /// <summary>Makes a value readable after a run. A second name for the same value is allowed.</summary>
    public Value Output(string name, Value value)
    {
        outputs.Add(name, value);
        return value;
    }

    /// <summary>Adds a node.</summary>
    /// <exception cref="GraphException">The inputs do not fit the operation.</exception>
    public IReadOnlyList<Value> Apply(Operation operation, params Value[] operands)
    {
        foreach (Value operand in operands)
        {
            if (operand.Graph != this)
            {
                throw new GraphException($"{operation.Name}: {operand} belongs to another graph.");
            }
        }

        TensorType[] types = operation.Infer(operands);
        string name = string.Join('/', scopes.Append(operation.Name));
        var node = new Node(nodes.Count, operation, operands, name);
        nodes.Add(node);
        var results = new Value[types.Length];
        for (int output = 0; output < types.Length; output++)
        {
            results[output] = Add(ValueKind.Computed, types[output], types.Length == 1 ? name : $"{name}:{output}", node, output);
        }

        node.Outputs = results;
        foreach (Value result in results)
        {
            if (result.UpdatedParameter is Value parameter)
            {
                updates[parameter] = result;
            }
        }

        return results;
    }

    /// <summary>Adds a node whose first output is what counts.</summary>
    public Value ApplySingle(Operation operation, params Value[] operands) => Apply(operation, operands)[0];

    /// <summary>Names of nodes added until the scope is disposed start with this one.</summary>
    public IDisposable Scope(string name)
    {
        scopes.Add(name);
        return new ScopeEnd(this);
    }

    private Value Add(ValueKind kind, TensorType type, string name, Node? producer, int outputIndex)
    {
        var value = new Value(this, values.Count, kind, type, name, producer, outputIndex);
        values.Add(value);
        return value;
    }

    private sealed class ScopeEnd(Graph graph) : IDisposable
    {
        private bool ended;

        public void Dispose()
        {
            if (!ended)
            {
                graph.scopes.RemoveAt(graph.scopes.Count - 1);
                ended = true;
            }
        }
    }
}

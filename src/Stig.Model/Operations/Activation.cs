using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>Kinds of <see cref="Activation"/>; the numbers are those of the native ABI.</summary>
internal enum ActivationKind
{
    /// <summary>x where x is positive, else slope x; slope 0 is ReLU.</summary>
    LeakyRelu = 0,

    /// <summary>1 / (1 + exp(-x)).</summary>
    Sigmoid = 1,

    /// <summary>2 / (1 + exp(-x)) - 1.</summary>
    SymmetricSigmoid = 2,

    /// <summary>min(max(x, 0), 1); the gradient is that of x inside and 0 outside.</summary>
    UnitClamp = 3,

    /// <summary>
    /// The value that 8 bits keep: floor(255 min(max(x, 0), 1) + 1/2) / 255. Its gradient is taken for that of x inside and 0
    /// outside (straight through the steps; Bengio, Leonard and Courville 2013).
    /// </summary>
    EightBit = 4,
}

/// <summary>An elementwise function whose gradient is known from its result.</summary>
internal sealed record Activation(ActivationKind Kind, float Slope) : Operation
{
    public override string Name => "activation";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];

    public override bool MayOverwrite(int input) => true;

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new ActivationBackward(Kind, Slope), context.Output(), context.OutputGradient())];
}

/// <summary>Inputs: result of the activation, gradient with respect to it. Output: gradient with respect to its argument.</summary>
internal sealed record ActivationBackward(ActivationKind Kind, float Slope) : Operation
{
    public override string Name => "activation_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type == inputs[1].Type, inputs, "two tensors of one type");
        return [inputs[1].Type];
    }

    public override bool MayOverwrite(int input) => input == 1;
}

internal static class ActivationExtensions
{
    public static Value Relu(this Graph graph, Value x) => graph.LeakyRelu(x, 0f);

    public static Value LeakyRelu(this Graph graph, Value x, float slope) =>
        graph.ApplySingle(new Activation(ActivationKind.LeakyRelu, slope), x);

    public static Value Sigmoid(this Graph graph, Value x) => graph.ApplySingle(new Activation(ActivationKind.Sigmoid, 0f), x);

    public static Value UnitClamp(this Graph graph, Value x) => graph.ApplySingle(new Activation(ActivationKind.UnitClamp, 0f), x);

    public static Value EightBit(this Graph graph, Value x) => graph.ApplySingle(new Activation(ActivationKind.EightBit, 0f), x);

    public static Value SymmetricSigmoid(this Graph graph, Value x) =>
        graph.ApplySingle(new Activation(ActivationKind.SymmetricSigmoid, 0f), x);
}
